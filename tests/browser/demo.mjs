// A demo of our own: started on a fresh folder, stopped by its process id.

import { execFileSync, spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { freePort } from "./provider.mjs";

const START_SECONDS = 120;
const STOP_SECONDS = 30;

// The environment without settings that were meant for something else.
const bare = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_")));

// Starts `binary demo`; resolves with what it tells of itself once notes are there, a point is taken and drilled.
export async function startDemo(binary) {
  const folder = await mkdtemp(join(tmpdir(), "hf-browser."));
  await chmod(folder, 0o755); // its database may run as another user
  // Where the operators' provider will be; with OIDC_MODULES it is started by the tests that want it.
  const providerPort = process.env.OIDC_MODULES ? await freePort() : null;
  const secret = join(folder, "oidc-secret");
  await writeFile(secret, "holdfast-secret");
  const operators = {
    HOLDFAST_OPERATOR_OIDC_ISSUER: `http://127.0.0.1:${providerPort}`,
    HOLDFAST_OPERATOR_OIDC_CLIENT_ID: "holdfast",
    HOLDFAST_OPERATOR_OIDC_CLIENT_SECRET_FILE: secret,
    HOLDFAST_OPERATOR_OIDC_GROUPS: "admins",
    HOLDFAST_OPERATOR_OIDC_TITLE: "Corp",
  };
  const child = spawn(binary, ["demo", "--json", "--data", join(folder, "data"), "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...bare, NO_COLOR: "1", ...(providerPort ? operators : {}) },
  });
  const said = [];
  child.stderr.on("data", (text) => said.push(text.toString()));
  const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));

  // A command of ours beside it: its output.
  const command = (...words) => execFileSync(binary, [...words, "--data", join(folder, "data"), "--json"], { env: bare, encoding: "utf8" });

  async function stop() {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), STOP_SECONDS * 1000);
      await ended;
      clearTimeout(late);
    }
    await rm(folder, { recursive: true, force: true });
  }

  const told = new Promise((resolve, reject) => {
    const found = {};
    createInterface({ input: child.stdout }).on("line", (line) => {
      Object.assign(found, JSON.parse(line));
      if (found.event === "ready" && found.owner) resolve(found);
    });
    ended.then((code) => reject(new Error(`the demo ended with ${code}:\n${said.join("").slice(-2000)}`)));
    setTimeout(() => reject(new Error(`the demo was not ready after ${START_SECONDS} s`)), START_SECONDS * 1000).unref();
  });
  try {
    return { ...(await told), folder, stop, providerPort, command };
  } catch (error) {
    await stop();
    throw error;
  }
}
