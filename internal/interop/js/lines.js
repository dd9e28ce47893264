// How a test talks to a client: requests are lines of JSON on the standard input,
// replies and events on the standard output. See client_test.go.
import readline from "node:readline";

export const print = (o) => process.stdout.write(JSON.stringify(o) + "\n");

// serve answers each request by the function of its name until there are no more.
export async function serve(requests) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    // Not awaited: a client may have several requests under way.
    Promise.resolve()
      .then(() => requests[request.do](request))
      .then(
        (result) => print({ reply: request.n, ...result }),
        (err) => print({ reply: request.n, error: err.error?.condition ?? err.condition ?? err.message ?? String(err) }),
      );
  }
}
