package transport

const rawSupported = true
