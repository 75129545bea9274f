// The real OpenID provider of tests/oidc, started when a test wants it to be there.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), "../oidc/provider.mjs");

// A port that nobody listens on. Not one that the system hands out (from 32768 on): the provider starts minutes later, and
// any connection might have got it by then.
export function freePort() {
  return new Promise((resolve) => {
    const attempt = () => {
      const port = 20000 + Math.floor(Math.random() * 12000);
      const server = createServer();
      server.once("error", attempt);
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(port)));
    };
    attempt();
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
