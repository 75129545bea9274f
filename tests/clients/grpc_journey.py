"""The journey by grpcio. Knows nothing of the messages but what the server's reflection tells."""

import base64
import json
import os
import sys
import urllib.request

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def expect(condition, what):
    if not condition:
        raise SystemExit(f"gRPC: {what}")


class Client:
    """Calls methods by name with messages made from reflection."""

    def __init__(self, told):
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
        if "authority" in told:
            options.append(("grpc.default_authority", told["authority"]))
        self.channel = grpc.insecure_channel(told["grpc"], options=options)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)
        self.metadata = list(told["metadata"].items())
        self.told = told

    def method(self, service, name):
        return self.pool.FindServiceByName(f"memos.api.v1.{service}").FindMethodByName(name)

    def call(self, service, name, message):
        method = self.method(service, name)
        request = json_format.ParseDict(message, message_factory.GetMessageClass(method.input_type)())
        stub = self.channel.unary_unary(
            f"/memos.api.v1.{service}/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        return json_format.MessageToDict(
            stub(request, metadata=self.metadata, timeout=30), always_print_fields_with_no_presence=True
        )

    def refusal(self, service, name, message):
        try:
            self.call(service, name, message)
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
            return error.code(), error.details(), details
        raise SystemExit(f"gRPC: {service}/{name} was not refused")

    def rest(self, path):
        request = urllib.request.Request(self.told["url"] + path)
        for name, value in self.metadata:
            if name == "authorization":
                request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


def described(client, path):
    """Writes every file of the reflection, imports first, for the clients that cannot reflect."""
    files, order = {}, []

    def visit(name):
        if name in files:
            return
        files[name] = client.database.FindFileByName(name)
        for other in files[name].dependency:
            visit(other)
        order.append(name)

    services = client.database.get_services()
    expect("memos.api.v1.MemoService" in services, f"reflection lists {services}")
    for service in services:
        visit(client.database.FindFileContainingSymbol(service).name)
    complete = descriptor_pb2.FileDescriptorSet(file=[files[name] for name in order])
    with open(path, "wb") as out:
        out.write(complete.SerializeToString())
    return services


def journey(client):
    content = os.urandom(200_000)
    signed = client.call(
        "AuthService",
        "SignIn",
        {"passwordCredentials": {"username": client.told["username"], "password": client.told["password"]}},
    )
    client.metadata.append(("authorization", f"Bearer {signed['accessToken']}"))

    upload = {"filename": "random.bin", "type": "application/octet-stream", "content": base64.b64encode(content).decode()}
    stored = client.call("AttachmentService", "CreateAttachment", {"attachment": upload})
    expect(stored["size"] == str(len(content)), f"size {stored['size']}")
    made = [
        client.call("MemoService", "CreateMemo", {"memo": {"content": f"number {i} #grpc/journey", "visibility": "PRIVATE"}})
        for i in range(3)
    ]
    memo = client.call(
        "MemoService",
        "CreateMemo",
        {"memo": {"content": "with a file #grpc/journey", "attachments": [{"name": stored["name"]}]}},
    )
    wanted = {"pageSize": 2, "filter": 'tag in ["grpc/journey"] && creator == "users/ada"'}
    first = client.call("MemoService", "ListMemos", wanted)
    second = client.call("MemoService", "ListMemos", {**wanted, "pageToken": first["nextPageToken"]})
    names = [found["name"] for page in (first, second) for found in page["memos"]]
    expect(set(names) == {memo["name"], *(one["name"] for one in made)}, f"two pages: {names}")

    changed = {"memo": {"name": memo["name"], "content": "changed #grpc/journey", "pinned": True}, "updateMask": "content"}
    memo = client.call("MemoService", "UpdateMemo", changed)
    expect(memo["content"] == "changed #grpc/journey" and not memo["pinned"], f"masked update: {memo}")
    client.call("MemoService", "CreateMemoComment", {"name": memo["name"], "comment": {"content": "a comment"}})
    reaction = {"contentId": memo["name"], "reactionType": "👍"}
    client.call("MemoService", "UpsertMemoReaction", {"name": memo["name"], "reaction": reaction})
    share = client.call("MemoService", "CreateMemoShare", {"parent": memo["name"], "memoShare": {}})
    token = share["name"].rsplit("/", 1)[1]
    shared = client.call("MemoService", "GetSharedMemo", {"shareToken": token})
    expect(shared["content"] == memo["content"], "the share shows the note")
    expect(client.rest(f"/file/{stored['name']}/random.bin") == content, "the download is equal byte for byte")

    over_grpc = client.call("MemoService", "GetMemo", {"name": memo["name"]})
    over_rest = json.loads(client.rest(f"/api/v1/{memo['name']}"))
    expect(over_grpc == over_rest, f"gRPC and REST differ:\n{over_grpc}\n{over_rest}")

    code, text, details = client.refusal("MemoService", "ListMemos", {"filter": "nope("})
    expect(code == grpc.StatusCode.INVALID_ARGUMENT and "filter" in text and details, f"{code} {text}")
    for one in [memo, *made]:
        client.call("MemoService", "DeleteMemo", {"name": one["name"]})
    code, text, details = client.refusal("MemoService", "GetMemo", {"name": memo["name"]})
    expect(code == grpc.StatusCode.NOT_FOUND and "not found" in text and details, f"{code} {text}")


def main():
    told = json.loads(sys.argv[1])
    client = Client(told)
    status = health_pb2_grpc.HealthStub(client.channel).Check(
        health_pb2.HealthCheckRequest(service="memos.api.v1.MemoService"), timeout=10
    )
    expect(status.status == health_pb2.HealthCheckResponse.SERVING, "health")
    services = described(client, told["descriptors"])
    journey(client)
    print(f"  {told['door']}: grpcio, {len(services)} services by reflection")


main()
