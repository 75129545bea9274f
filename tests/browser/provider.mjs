// The real OpenID provider of tests/oidc, started when a test wants it to be there.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), "../oidc/provider.mjs");

// A port that nobody listens on.
export function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Starts it on this port for these roots of ours; resolves when it answers.
export async function startProvider(port, roots) {
  const child = spawn(process.execPath, [SCRIPT, String(port), ...roots], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const issuer = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => line.startsWith("ready ") && resolve(line.slice(6)));
    ended.then((code) => reject(new Error(`the provider ended with ${code}`)));
  });
  const ask = async (path) => {
    const answer = await fetch(issuer + path);
    if (!answer.ok) throw new Error(`the provider answers ${answer.status}: ${await answer.text()}`);
  };
  return {
    issuer,
    set: (said) => ask(`/__set?j=${encodeURIComponent(JSON.stringify(said))}`),
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
