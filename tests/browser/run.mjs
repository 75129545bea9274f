// Drives the pages of a demo of our own in a headless Chromium.
//
//   node run.mjs BINARY MODULES     MODULES: a folder in which `npm ci` put node_modules
//
// Prints each test that fails, and "N passed, N failed" at the end. BROWSER names another Chromium, ONLY=text runs the
// groups whose name contains it, DEMO=file with the lines of `demo --json` uses a demo that runs already.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { operatorByKeyboard } from "./console.mjs";
import { startDemo } from "./demo.mjs";
import { foreignForms, weights } from "./foreign.mjs";
import { identity } from "./identity.mjs";
import { forms, memberByKeyboard } from "./journeys.mjs";
import { signIn } from "./keyboard.mjs";
import { lookAtPages } from "./pages.mjs";
import { twoTenants } from "./tenants.mjs";

const [binary, modules] = process.argv.slice(2);
if (!binary || !modules) {
  console.error("usage: node run.mjs BINARY MODULES");
  process.exit(2);
}
const require = createRequire(join(modules, "package.json"));
const { chromium } = require("playwright-core");
const source = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

let passed = 0;
let failed = 0;

// One test: `act` gives a list of problems, or throws.
async function test(name, act) {
  let problems;
  try {
    problems = (await act()) ?? [];
  } catch (error) {
    problems = [error.message.split("\n").slice(0, 12).join("\n")];
  }
  if (problems.length === 0) {
    passed++;
    if (process.env.VERBOSE) console.log(`ok      ${name}`);
  } else {
    failed++;
    console.log(`FAILED  ${name}\n${problems.map((problem) => `          ${problem}`).join("\n")}`);
  }
}

async function session(browser, url, name, password) {
  const page = await browser.newPage();
  await signIn(page, url, name, password);
  const state = await page.context().storageState();
  await page.close();
  return state;
}

async function groups(browser, demo) {
  const url = demo.url;
  const member = await session(browser, `${url}/signin`, demo.owner, demo.password);
  const operator = await session(browser, `${url}/console/signin`, demo.operator, demo.operator_password);
  const world = { binary, browser, url, test, demo, member, operator, source, gzip: gzipSync };
  const all = {
    pages: () => lookAtPages(world),
    keyboard: () => memberByKeyboard(world, true),
    "keyboard without script": () => memberByKeyboard(world, false),
    forms: () => forms(world),
    console: () => operatorByKeyboard(world, true),
    "console without script": () => operatorByKeyboard(world, false),
    foreign: () => foreignForms(world),
    weights: () => weights(world),
    identity: () => identity(world),
    tenants: () => twoTenants(world),
  };
  for (const [name, run] of Object.entries(all)) {
    if (!name.includes(process.env.ONLY ?? "")) continue;
    const began = Date.now();
    await test(`the group "${name}" ran to its end`, run);
    console.log(`${name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }
}

function runningDemo(file) {
  const lines = readFileSync(file, "utf8").split("\n").filter((line) => line.startsWith("{"));
  return Object.assign({ folder: "/tmp", stop: async () => {} }, ...lines.map((line) => JSON.parse(line)));
}

let demo;
let browser;
const stop = async () => {
  await browser?.close().catch(() => {});
  await demo?.stop();
};
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop().finally(() => process.exit(130)));
try {
  const began = Date.now();
  demo = process.env.DEMO ? runningDemo(process.env.DEMO) : await startDemo(binary);
  console.log(`demo: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  browser = await chromium.launch({
    // Chromium reads the names of files by the locale; a person's desktop has UTF-8.
    env: { ...process.env, LC_ALL: "C.UTF-8" },
    executablePath: process.env.BROWSER ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"],
  });
  await groups(browser, demo);
} catch (error) {
  failed++;
  console.log(`FAILED  ${error.message}`);
} finally {
  await stop();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
