// Every page, narrow and wide, light and dark: no sideways scrolling, nothing on the console, no violation, nothing for axe.

import { axe, overflow, watch } from "./watch.mjs";

const WIDTHS = [390, 1280];
const SCHEMES = ["light", "dark"];
const NARROWEST = 320; // WCAG 1.4.10

// The addresses to look at, found by following links as a reader would.
async function addresses(page, url) {
  const link = (selector) => page.evaluate((selector) => document.querySelector(selector)?.getAttribute("href") ?? null, selector);
  await page.goto(`${url}/`);
  const found = {
    note: (await link('.note:has(.files) a[href*="#comments"]')) ?? (await link('.note a[href*="#comments"]')),
    edit: await link('.note a[href$="/edit"]'),
    tag: await link(".note .markdown a[href*='?tag=']"),
    older: await link('a[rel="next"]'),
  };
  await page.goto(`${url}/console/tenants/default`);
  found.point = await link('a[href^="/console/points/"]');
  found.drill = await link('a[href^="/console/drills/"]');
  for (const [name, address] of Object.entries(found)) if (!address) throw new Error(`no link to a page of the kind "${name}"`);
  return found;
}

// Looks at one page. One that watches a job loads itself anew when the job has ended, perhaps while it is looked at: then it
// is looked at again, but not for ever.
async function look(...page) {
  for (let rest = 3; ; rest--) {
    try {
      return await lookOnce(...page);
    } catch (error) {
      if (rest === 0 || !/because of a navigation|by another navigation/.test(String(error))) throw error;
    }
  }
}

// As it is loaded, and with `again` once more as the browser's store has it.
async function lookOnce(page, watched, address, source, again) {
  const problems = [];
  await page.goto(address, { waitUntil: "load" });
  problems.push(...(await overflow(page)), ...(await axe(page, source)), ...watched.take());
  if (!again) return problems;
  await page.goto(address, { waitUntil: "load" });
  problems.push(...watched.take());
  const styled = await page.evaluate(() => document.styleSheets.length > 0 && document.styleSheets[0].cssRules.length > 0);
  if (!styled) problems.push("asked for again, it has no style");
  return problems;
}

export async function lookAtPages({ browser, url, test, member, operator, source }) {
  const finder = await browser.newPage({ storageState: merged(member, operator) });
  const { note, edit, tag, older, drill, point } = await addresses(finder, url);
  await finder.context().close();
  const pages = [
    ["sign-in", "/signin", null],
    ["console sign-in", "/console/signin", null],
    ["feed", "/", member],
    ["feed, older", older, member],
    ["feed, nothing found", "/?q=no-such-word-anywhere", member],
    ["feed, tag and words", `${tag}&q=a`, member],
    ["archive", "/?show=archive", member],
    ["note", note, member],
    ["edit", edit, member],
    ["account", "/account", member],
    ["nothing here", "/no-such-page", member],
    ["no such note", "/memos/no-such-note", member],
    ["console", "/console", operator],
    ["tenant", "/console/tenants/default", operator],
    ["points", "/console/tenants/default/points", operator],
    ["points of the control plane", "/console/tenants/_control/points", operator],
    ["point", point, operator],
    ["plan of a restore", `${point}/restore`, operator],
    ["what of a point is to come back", `${point}/part`, operator],
    ["drill", drill, operator],
    ["audit", "/console/audit", operator],
  ];
  // Narrow and wide at the same time: a page waits more than it works.
  const looks = WIDTHS.map(async (width) => {
    for (const colorScheme of SCHEMES) {
      for (const who of [null, member, operator]) {
        const asked = pages.filter(([, , whose]) => whose === who);
        await lookAs({ browser, url, test, source, who, asked, width, colorScheme });
      }
    }
  });
  await Promise.all(looks);
}

async function lookAs({ browser, url, test, source, who, asked, width, colorScheme }) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, storageState: who ?? undefined });
  const page = await context.newPage();
  const watched = await watch(page);
  const first = width === WIDTHS[0] && colorScheme === SCHEMES[0];
  for (const [name, path] of asked) {
    await test(`${name}, ${width} px, ${colorScheme}`, async () => look(page, watched, url + path, source, first));
    if (!first) continue;
    await test(`${name}, ${NARROWEST} px`, async () => {
      await page.setViewportSize({ width: NARROWEST, height: 900 });
      const problems = await overflow(page);
      await page.setViewportSize({ width, height: 900 });
      return problems;
    });
  }
  await context.close();
}

export function merged(...states) {
  return { cookies: states.flatMap((state) => state.cookies), origins: [] };
}
