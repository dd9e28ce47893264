package stanza

// Size is an upper bound, in bytes, of what Emit writes for either side.
func (s *Stanza) Size() int {
	if len(s.nodes) == 0 {
		return 0
	}
	n := int(s.nodes[0].end-s.nodes[0].beg) + len(" xmlns='jabber:client'") + len("></presence>")
	for i := range s.sets {
		// A quote is the longest thing that escaping makes: six bytes.
		n += len(s.sets[i].name) + len(" =''") + 6*len(s.sets[i].value)
	}
	for i := range s.tails {
		n += len(s.tails[i].xml)
	}
	return n
}
