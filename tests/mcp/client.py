"""The Python SDK against /mcp: lists the tools, writes, finds, reads and deletes a note; results fit their schemas.

    client.py URL TOKEN
"""

import asyncio
import sys

import httpx2
import jsonschema
import mcp
from mcp.client.streamable_http import streamable_http_client


async def journey(session):
    await session.initialize()
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}

    async def use(name, **arguments):
        result = await session.call_tool(name, arguments)
        assert not result.is_error, result
        jsonschema.validate(result.structured_content, tools[name].output_schema)
        return result.structured_content

    note = await use("memo_create_memo", body={"content": "from the Python SDK #sdk", "visibility": "PRIVATE"})
    found = await use("memo_list_memos", filter='"sdk" in tags', pageSize=5)
    assert [one["name"] for one in found["memos"]] == [note["name"]], found
    read = await use("memo_get_memo", memo=note["name"])
    assert read["content"] == note["content"], read
    file = await use("attachment_create_attachment", body={"filename": "a.txt", "type": "text/plain", "content": "aGk="})
    assert file["size"] == "2", file
    listed = await use("attachment_list_attachments")
    assert len(listed["attachments"]) == 1, listed
    assert (await use("auth_get_current_user"))["user"]["username"] == "ann"
    await use("memo_delete_memo", memo=note["name"])
    await use("attachment_delete_attachment", attachment=file["name"])
    gone = await session.call_tool("memo_get_memo", {"memo": note["name"]})
    assert gone.is_error, gone
    print(f"{len(tools)} tools, written, found, read, deleted")


async def main(url, token):
    client = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
    async with streamable_http_client(url, http_client=client) as streams:
        async with mcp.ClientSession(streams[0], streams[1]) as session:
            await journey(session)


asyncio.run(main(*sys.argv[1:]))
