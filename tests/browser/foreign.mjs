// Other sites: a form on their pages that is sent to us with the member's cookies.

import { createServer } from "node:http";

export async function foreignForms({ browser, url, test, member }) {
  const page = (action, field) => `<!doctype html><title>x</title><form method="post" action="${action}"><textarea name="${field}">from elsewhere</textarea></form>`;
  const server = createServer((request, answer) => {
    const asked = new URL(request.url, "http://x");
    answer.setHeader("content-type", "text/html; charset=utf-8").end(page(url + asked.searchParams.get("to"), asked.searchParams.get("field")));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  // Another port is another origin of the same site, so that its browser sends the cookies along; another name is another site.
  for (const host of ["127.0.0.1", "localhost"]) {
    for (const [to, field] of [["/notes", "content"], ["/account/tokens", "description"], ["/signin", "username"], ["/console/tenants/default/backup", "x"]]) {
      await test(`a form sent from ${host === "localhost" ? "another site" : "another port"} to ${to} is refused`, async () => {
        const context = await browser.newContext({ storageState: member });
        const tab = await context.newPage();
        await tab.goto(`http://${host}:${port}/?to=${encodeURIComponent(to)}&field=${field}`);
        const [answer] = await Promise.all([tab.waitForNavigation(), tab.evaluate(() => document.querySelector("form").submit())]);
        await context.close();
        return answer.status() === 403 ? [] : [`answered ${answer.status()}`];
      });
    }
  }
  await test("nothing from elsewhere was stored", async () => {
    const context = await browser.newContext({ storageState: member });
    const text = await (await context.request.get(`${url}/?q=from+elsewhere`)).text();
    await context.close();
    return text.includes("Nothing found") ? [] : ["the note is there"];
  });
  server.close();
}

// The page, its style and its script stay small.
export async function weights({ browser, url, test, member, gzip }) {
  const context = await browser.newContext({ storageState: member });
  const get = async (path) => Buffer.from(await (await context.request.get(url + path)).body());
  const feed = (await get("/")).toString();
  const part = (pattern) => feed.match(pattern)[1];
  for (const [name, path, most] of [
    ["feed", "/", 30_000],
    ["style", part(/href="([^"]+\.css)"/), 12_000],
    ["script", part(/src="([^"]+\.js)"/), 25_000],
  ]) {
    await test(`${name}: at most ${most / 1000} kB gzip`, async () => {
      const size = gzip(await get(path)).length;
      return size <= most ? [] : [`${size} bytes`];
    });
  }
  await context.close();
}
