//! The rows of [`crate::table`].

use crate::table::Access::{Admin, Bootstrap, Login, Public};
use crate::table::Audit::{Event, Nothing, Read};
use crate::table::{Access, Audit, Binding, Body, Rpc};

const fn rpc(
    service: &'static str,
    method: &'static str,
    access: Access,
    audit: Audit,
    bindings: &'static [Binding],
) -> Rpc {
    Rpc { service, method, access, audit, bindings }
}

const fn get(path: &'static str) -> Binding {
    Binding { verb: "GET", path, body: Body::None }
}

const fn delete(path: &'static str) -> Binding {
    Binding { verb: "DELETE", path, body: Body::None }
}

const fn post(path: &'static str, body: Body) -> Binding {
    Binding { verb: "POST", path, body }
}

const fn patch(path: &'static str, body: Body) -> Binding {
    Binding { verb: "PATCH", path, body }
}

const NOTE: Audit = Nothing("notes are the members' own; the audit holds no note activity");
const FILE: Audit = Nothing("files are the members' own; the audit holds no note activity");
const WEBHOOK: Audit = Nothing("a member's own webhook; deliveries have a log of their own");
const INBOX: Audit = Nothing("a member's own inbox");
const FILTER: Audit = Nothing("a member's own saved filter");
const PREFERENCE: Audit = Nothing("a member's own preference");

pub(crate) static RPCS: &[Rpc] = &[
    // UserService
    rpc("UserService", "ListUsers", Admin, Read, &[get("/api/v1/users")]),
    rpc("UserService", "BatchGetUsers", Public, Read, &[post("/api/v1/users:batchGet", Body::Whole)]),
    rpc("UserService", "GetUser", Public, Read, &[get("/api/v1/{name=users/*}")]),
    rpc("UserService", "CreateUser", Bootstrap, Event("member.created"), &[post("/api/v1/users", Body::Field("user"))]),
    rpc(
        "UserService",
        "UpdateUser",
        Login,
        Event("member.updated"),
        &[patch("/api/v1/{user.name=users/*}", Body::Field("user"))],
    ),
    rpc("UserService", "DeleteUser", Login, Event("member.deleted"), &[delete("/api/v1/{name=users/*}")]),
    rpc("UserService", "ListAllUserStats", Public, Read, &[get("/api/v1/users:stats")]),
    rpc("UserService", "GetUserStats", Public, Read, &[get("/api/v1/{name=users/*}:getStats")]),
    rpc("UserService", "GetUserSetting", Login, Read, &[get("/api/v1/{name=users/*/settings/*}")]),
    rpc(
        "UserService",
        "UpdateUserSetting",
        Login,
        PREFERENCE,
        &[patch("/api/v1/{setting.name=users/*/settings/*}", Body::Field("setting"))],
    ),
    rpc("UserService", "ListUserSettings", Login, Read, &[get("/api/v1/{parent=users/*}/settings")]),
    rpc("UserService", "ListLinkedIdentities", Login, Read, &[get("/api/v1/{parent=users/*}/linkedIdentities")]),
    rpc(
        "UserService",
        "CreateLinkedIdentity",
        Login,
        Event("identity.linked"),
        &[post("/api/v1/{parent=users/*}/linkedIdentities", Body::Whole)],
    ),
    rpc("UserService", "GetLinkedIdentity", Login, Read, &[get("/api/v1/{name=users/*/linkedIdentities/*}")]),
    rpc(
        "UserService",
        "DeleteLinkedIdentity",
        Login,
        Event("identity.unlinked"),
        &[delete("/api/v1/{name=users/*/linkedIdentities/*}")],
    ),
    rpc(
        "UserService",
        "ListPersonalAccessTokens",
        Login,
        Read,
        &[get("/api/v1/{parent=users/*}/personalAccessTokens")],
    ),
    rpc(
        "UserService",
        "CreatePersonalAccessToken",
        Login,
        Event("token.created"),
        &[post("/api/v1/{parent=users/*}/personalAccessTokens", Body::Whole)],
    ),
    rpc(
        "UserService",
        "DeletePersonalAccessToken",
        Login,
        Event("token.revoked"),
        &[delete("/api/v1/{name=users/*/personalAccessTokens/*}")],
    ),
    rpc("UserService", "ListUserWebhooks", Login, Read, &[get("/api/v1/{parent=users/*}/webhooks")]),
    rpc(
        "UserService",
        "CreateUserWebhook",
        Login,
        WEBHOOK,
        &[post("/api/v1/{parent=users/*}/webhooks", Body::Field("webhook"))],
    ),
    rpc(
        "UserService",
        "UpdateUserWebhook",
        Login,
        WEBHOOK,
        &[patch("/api/v1/{webhook.name=users/*/webhooks/*}", Body::Field("webhook"))],
    ),
    rpc("UserService", "DeleteUserWebhook", Login, WEBHOOK, &[delete("/api/v1/{name=users/*/webhooks/*}")]),
    rpc(
        "UserService",
        "GetUserWebhookSigningSecret",
        Login,
        Read,
        &[get("/api/v1/{name=users/*/webhooks/*}:getSigningSecret")],
    ),
    rpc("UserService", "ListUserNotifications", Login, Read, &[get("/api/v1/{parent=users/*}/notifications")]),
    rpc(
        "UserService",
        "UpdateUserNotification",
        Login,
        INBOX,
        &[patch("/api/v1/{notification.name=users/*/notifications/*}", Body::Field("notification"))],
    ),
    rpc("UserService", "DeleteUserNotification", Login, INBOX, &[delete("/api/v1/{name=users/*/notifications/*}")]),
    // InstanceService
    rpc("InstanceService", "GetInstanceProfile", Bootstrap, Read, &[get("/api/v1/instance/profile")]),
    rpc("InstanceService", "GetInstanceSetting", Bootstrap, Read, &[get("/api/v1/{name=instance/settings/*}")]),
    rpc(
        "InstanceService",
        "BatchGetInstanceSettings",
        Bootstrap,
        Read,
        &[post("/api/v1/instance/settings:batchGet", Body::Whole)],
    ),
    rpc(
        "InstanceService",
        "UpdateInstanceSetting",
        Admin,
        Event("settings.updated"),
        &[patch("/api/v1/{setting.name=instance/settings/*}", Body::Field("setting"))],
    ),
    rpc(
        "InstanceService",
        "TestInstanceEmailSetting",
        Admin,
        Nothing("sends a trial message and stores nothing"),
        &[post("/api/v1/instance/settings/notification:testEmail", Body::Whole)],
    ),
    rpc("InstanceService", "GetInstanceStats", Admin, Read, &[get("/api/v1/instance/stats")]),
    // AuthService
    rpc("AuthService", "GetCurrentUser", Login, Read, &[get("/api/v1/auth/me")]),
    rpc("AuthService", "SignIn", Bootstrap, Event("signin.made"), &[post("/api/v1/auth/signin", Body::Whole)]),
    rpc("AuthService", "SignOut", Login, Event("signout.made"), &[post("/api/v1/auth/signout", Body::None)]),
    rpc(
        "AuthService",
        "RefreshToken",
        Bootstrap,
        Nothing("renews a session whose sign-in is in the audit"),
        &[post("/api/v1/auth/refresh", Body::Whole)],
    ),
    // AttachmentService
    rpc(
        "AttachmentService",
        "CreateAttachment",
        Login,
        FILE,
        &[post("/api/v1/attachments", Body::Field("attachment"))],
    ),
    rpc("AttachmentService", "ListAttachments", Login, Read, &[get("/api/v1/attachments")]),
    rpc("AttachmentService", "GetAttachment", Login, Read, &[get("/api/v1/{name=attachments/*}")]),
    rpc(
        "AttachmentService",
        "UpdateAttachment",
        Login,
        FILE,
        &[patch("/api/v1/{attachment.name=attachments/*}", Body::Field("attachment"))],
    ),
    rpc("AttachmentService", "DeleteAttachment", Login, FILE, &[delete("/api/v1/{name=attachments/*}")]),
    rpc(
        "AttachmentService",
        "BatchDeleteAttachments",
        Login,
        FILE,
        &[post("/api/v1/attachments:batchDelete", Body::Whole)],
    ),
    // MemoService
    rpc("MemoService", "CreateMemo", Login, NOTE, &[post("/api/v1/memos", Body::Field("memo"))]),
    rpc("MemoService", "ListMemos", Public, Read, &[get("/api/v1/memos")]),
    rpc("MemoService", "GetMemo", Public, Read, &[get("/api/v1/{name=memos/*}")]),
    rpc("MemoService", "UpdateMemo", Login, NOTE, &[patch("/api/v1/{memo.name=memos/*}", Body::Field("memo"))]),
    rpc("MemoService", "DeleteMemo", Login, NOTE, &[delete("/api/v1/{name=memos/*}")]),
    rpc("MemoService", "SetMemoAttachments", Login, NOTE, &[patch("/api/v1/{name=memos/*}/attachments", Body::Whole)]),
    rpc("MemoService", "ListMemoAttachments", Login, Read, &[get("/api/v1/{name=memos/*}/attachments")]),
    rpc("MemoService", "SetMemoRelations", Login, NOTE, &[patch("/api/v1/{name=memos/*}/relations", Body::Whole)]),
    rpc("MemoService", "ListMemoRelations", Login, Read, &[get("/api/v1/{name=memos/*}/relations")]),
    rpc(
        "MemoService",
        "CreateMemoComment",
        Login,
        NOTE,
        &[post("/api/v1/{name=memos/*}/comments", Body::Field("comment"))],
    ),
    rpc("MemoService", "ListMemoComments", Public, Read, &[get("/api/v1/{name=memos/*}/comments")]),
    rpc("MemoService", "ListMemoReactions", Login, Read, &[get("/api/v1/{name=memos/*}/reactions")]),
    rpc("MemoService", "UpsertMemoReaction", Login, NOTE, &[post("/api/v1/{name=memos/*}/reactions", Body::Whole)]),
    rpc("MemoService", "DeleteMemoReaction", Login, NOTE, &[delete("/api/v1/{name=memos/*/reactions/*}")]),
    rpc(
        "MemoService",
        "CreateMemoShare",
        Login,
        NOTE,
        &[post("/api/v1/{parent=memos/*}/shares", Body::Field("memo_share"))],
    ),
    rpc("MemoService", "ListMemoShares", Login, Read, &[get("/api/v1/{parent=memos/*}/shares")]),
    rpc("MemoService", "DeleteMemoShare", Login, NOTE, &[delete("/api/v1/{name=memos/*/shares/*}")]),
    rpc("MemoService", "GetSharedMemo", Bootstrap, Read, &[get("/api/v1/shares/{share_token}/memo")]),
    rpc("MemoService", "GetLinkMetadata", Public, Read, &[get("/api/v1/memos/-/linkMetadata")]),
    rpc(
        "MemoService",
        "BatchGetLinkMetadata",
        Public,
        Read,
        &[post("/api/v1/memos/-/linkMetadata:batchGet", Body::Whole)],
    ),
    // AIService
    rpc("AIService", "Transcribe", Login, Nothing("stores nothing"), &[post("/api/v1/ai:transcribe", Body::Whole)]),
    // ShortcutService
    rpc("ShortcutService", "ListShortcuts", Login, Read, &[get("/api/v1/{parent=users/*}/shortcuts")]),
    rpc("ShortcutService", "GetShortcut", Login, Read, &[get("/api/v1/{name=users/*/shortcuts/*}")]),
    rpc(
        "ShortcutService",
        "CreateShortcut",
        Login,
        FILTER,
        &[post("/api/v1/{parent=users/*}/shortcuts", Body::Field("shortcut"))],
    ),
    rpc(
        "ShortcutService",
        "UpdateShortcut",
        Login,
        FILTER,
        &[patch("/api/v1/{shortcut.name=users/*/shortcuts/*}", Body::Field("shortcut"))],
    ),
    rpc("ShortcutService", "DeleteShortcut", Login, FILTER, &[delete("/api/v1/{name=users/*/shortcuts/*}")]),
    // MemoViewService
    rpc("MemoViewService", "ListMemoViews", Login, Read, &[get("/api/v1/{parent=users/*}/views")]),
    rpc("MemoViewService", "GetMemoView", Login, Read, &[get("/api/v1/{name=users/*/views/*}")]),
    rpc(
        "MemoViewService",
        "CreateMemoView",
        Login,
        FILTER,
        &[post("/api/v1/{parent=users/*}/views", Body::Field("memo_view"))],
    ),
    rpc(
        "MemoViewService",
        "UpdateMemoView",
        Login,
        FILTER,
        &[patch("/api/v1/{memo_view.name=users/*/views/*}", Body::Field("memo_view"))],
    ),
    rpc("MemoViewService", "DeleteMemoView", Login, FILTER, &[delete("/api/v1/{name=users/*/views/*}")]),
    // IdentityProviderService
    rpc("IdentityProviderService", "ListIdentityProviders", Bootstrap, Read, &[get("/api/v1/identity-providers")]),
    rpc("IdentityProviderService", "GetIdentityProvider", Login, Read, &[get("/api/v1/{name=identity-providers/*}")]),
    rpc(
        "IdentityProviderService",
        "CreateIdentityProvider",
        Admin,
        Event("provider.created"),
        &[post("/api/v1/identity-providers", Body::Field("identity_provider"))],
    ),
    rpc(
        "IdentityProviderService",
        "UpdateIdentityProvider",
        Admin,
        Event("provider.updated"),
        &[patch("/api/v1/{identity_provider.name=identity-providers/*}", Body::Field("identity_provider"))],
    ),
    rpc(
        "IdentityProviderService",
        "DeleteIdentityProvider",
        Admin,
        Event("provider.deleted"),
        &[delete("/api/v1/{name=identity-providers/*}")],
    ),
];
