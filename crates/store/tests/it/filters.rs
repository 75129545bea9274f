//! A filter asked of Postgres and asked in memory gives the same notes: random notes, random filters, fixed seeds.

use std::collections::BTreeSet;

use domain::chance::Chance;
use domain::filter::{self, NoteFacts};
use domain::id::MemberId;
use domain::member::{Member, Role};
use domain::note::Note;
use domain::tenant::TenantState;
use store::tenant::feed::{FeedQuery, Order, Viewer, list_notes};
use store::tenant::{filter_sql, members};
use store::{Store, TenantScope, Type};
use testkit::pg::TestDatabase;

use crate::drawn::{NOW, PIECES, Random, USERS};
use crate::sketches;

const NOTES: usize = 150;
const FILTERS: usize = 400;

async fn furnish(store: &Store, scope: &TenantScope, random: &Random) {
    let mut tx = store.begin(scope);
    tx.touch().await.unwrap();
    for (at, name) in USERS.iter().enumerate() {
        let member = Member {
            id: MemberId(at as i64 + 1),
            username: (*name).to_owned(),
            role: Role::Member,
            archived: false,
            email: String::new(),
            display_name: String::new(),
            avatar: String::new(),
            description: String::new(),
            created_ts: 0,
            updated_ts: 0,
        };
        members::insert_member(&mut tx, &member, "").await.unwrap();
    }
    let sql = "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, pinned, visibility, content, tags,
        has_link, has_task_list, has_code, has_incomplete_tasks) VALUES ($1, 'n' || $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    for id in 100..100 + NOTES as i64 {
        let flags: Vec<bool> = (0..5).map(|_| random.yes()).collect();
        let mut tags: Vec<String> = (0..random.below(4)).map(|_| random.one(&PIECES).trim().to_owned()).collect();
        tags.retain(|tag| !tag.is_empty());
        tags.dedup();
        let creator = 1 + random.below(USERS.len()) as i64;
        let (created, updated, content) = (random.time(), random.time(), random.text());
        let visibility = random.one(&["PRIVATE", "PROTECTED", "PUBLIC"]);
        tx.query(
            sql,
            &[
                (&id, Type::INT8),
                (&creator, Type::INT8),
                (&created, Type::INT8),
                (&updated, Type::INT8),
                (&flags[0], Type::BOOL),
                (&visibility, Type::TEXT),
                (&content, Type::TEXT),
                (&tags, Type::TEXT_ARRAY),
                (&flags[1], Type::BOOL),
                (&flags[2], Type::BOOL),
                (&flags[3], Type::BOOL),
                (&flags[4], Type::BOOL),
            ],
        )
        .await
        .unwrap();
    }
    // What a filter finds by tags follows every kind of change.
    let change = "UPDATE note SET tags = ARRAY['Travel/x', 'work'], created_ts = created_ts - 5 WHERE id % 7 = 0";
    tx.query(change, &[]).await.unwrap();
    tx.query("UPDATE note SET tags = '{}' WHERE id % 11 = 0", &[]).await.unwrap();
    tx.query("UPDATE note SET created_ts = created_ts + 5, content = content || '!' WHERE id % 13 = 0", &[])
        .await
        .unwrap();
    tx.query("DELETE FROM note WHERE id % 31 = 0", &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(tags_in_step(store, scope).await > 50);
}

/// How many keys the notes' tags have, which are exactly those in the table that lists them.
pub(crate) async fn tags_in_step(store: &Store, scope: &TenantScope) -> i64 {
    let sql = "WITH due AS (SELECT k, n.created_ts, n.id FROM note n, unnest(holdfast_search.tag_keys(n.tags)) k),
        kept AS (SELECT key::text, created_ts, note_id FROM note_tag)
        SELECT (SELECT count(*) FROM kept),
          (SELECT count(*) FROM ((TABLE due EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE due)) d)";
    let rows = store.begin(scope).read_once(sql, &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i64>(1), 0, "keys that are in one and not in the other");
    rows[0].get(0)
}

async fn listed(store: &Store, scope: &TenantScope, filter: Option<&filter::Filter>) -> Vec<Note> {
    page(store, scope, filter, (Order::default(), 1000)).await
}

async fn page(store: &Store, scope: &TenantScope, filter: Option<&filter::Filter>, cut: (Order, i64)) -> Vec<Note> {
    let condition = filter.map(filter_sql::compile_list);
    let query = FeedQuery {
        viewer: Viewer::Member(MemberId(1)),
        archived: false,
        order: cut.0,
        filter: condition.as_ref(),
        limit: cut.1,
        offset: 0,
    };
    list_notes(store, scope, &query).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_memory_agree_on_every_filter() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let tenant = store.build_tenant(&"filters".parse().unwrap(), TenantState::Active).await.unwrap();
    let scope = TenantScope::for_request(tenant);
    let random = Random(Chance::seeded(20_261_122));
    furnish(&store, &scope, &random).await;
    println!("{}", agree(&store, &scope, &random, FILTERS).await);
    // Once more with sketches: of all notes; where some are not known; where they are again.
    database.superuser().await.batch_execute(&format!("ANALYZE {}.note", scope.tenant().schema)).await.unwrap();
    assert!(sketches::tend(&store).await > 100);
    println!("{}", agree(&store, &scope, &random, FILTERS / 4).await);
    let mut tx = store.begin(&scope);
    tx.touch().await.unwrap();
    for change in [
        "UPDATE note SET content = 'STRASSE ёлка ' || content || ' work' WHERE id % 5 = 0",
        "UPDATE note SET created_ts = created_ts + 100000 WHERE id % 9 = 0",
        "DELETE FROM note WHERE id % 37 = 0",
        "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content)
         SELECT i, 'n' || i, 1, i, i, 'PUBLIC', 'Travel by ЁЛКА ' || i FROM generate_series(1000, 1020) i",
    ] {
        tx.query(change, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (known, unknown) = sketches::sketches_in_step(&store, &scope).await;
    assert!(known > 50 && unknown > 50, "{known} {unknown}");
    println!("{}", agree(&store, &scope, &random, FILTERS / 4).await);
    assert_eq!(sketches::tend(&store).await, unknown as u64);
    println!("{}", agree(&store, &scope, &random, FILTERS / 4).await);
}

/// Asks random filters of Postgres and in memory; tells what was asked.
async fn agree(store: &Store, scope: &TenantScope, random: &Random, filters: usize) -> String {
    let all = listed(store, scope, None).await;
    assert!(all.len() > NOTES / 2, "{}", all.len());
    let (mut asked, mut refused, mut found) = (0, 0, 0);
    let mut problems = Vec::new();
    while asked < filters {
        let text = random.filter(3);
        let parse = if asked % 2 == 0 { filter::parse } else { filter::parse_today };
        let Ok(filter) = parse(&text, NOW) else {
            refused += 1;
            assert!(refused < filters, "most filters are refused, such as {text}");
            continue;
        };
        asked += 1;
        let whole: Vec<String> = listed(store, scope, Some(&filter)).await.into_iter().map(|note| note.uid).collect();
        let begin: Vec<String> =
            page(store, scope, Some(&filter), (Order::default(), 3)).await.into_iter().map(|note| note.uid).collect();
        if !whole.starts_with(&begin) || begin.len() != whole.len().min(3) {
            problems.push(format!("{text}\n    begins with {whole:?}, a page of three with {begin:?}"));
        }
        // Longer than the newest notes are walked for: another text, and in another order one more.
        let more = page(store, scope, Some(&filter), (Order::default(), 1001)).await.len();
        let oldest = Order { ascending: true, ..Order::default() };
        if (more, page(store, scope, Some(&filter), (oldest, 51)).await.len()) != (whole.len(), whole.len().min(51)) {
            problems.push(format!("{text}\n    finds {} or {more}, as the order and number wanted are", whole.len()));
        }
        let by_postgres: BTreeSet<String> = whole.into_iter().collect();
        found += by_postgres.len();
        for note in &all {
            let (here, there) = (filter.matches(&NoteFacts::from(note)), by_postgres.contains(&note.uid));
            if here != there {
                problems.push(format!(
                    "{text}\n    in memory {here}, in Postgres {there}: {:?} tags {:?}",
                    note.content, note.derived.tags
                ));
                break;
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{} filters differ:\n  {}",
        problems.len(),
        problems.iter().take(12).cloned().collect::<Vec<_>>().join("\n  ")
    );
    format!("filters: {asked} filters on {} notes, {refused} texts that are none, {found} notes found", all.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_tenants_get_an_index_for_texts_and_small_ones_none() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let tenant = store.build_tenant(&"large".parse().unwrap(), TenantState::Active).await.unwrap();
    store.build_tenant(&"small".parse().unwrap(), TenantState::Active).await.unwrap();
    let schema = tenant.schema.clone();
    let scope = TenantScope::for_request(tenant);
    let fill = format!(
        "CREATE SCHEMA ext; GRANT USAGE ON SCHEMA ext TO PUBLIC; CREATE EXTENSION pg_trgm SCHEMA ext;
         INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, pinned, visibility, content, tags)
         SELECT i, 'n' || i, 1, i, i, i % 2500 = 3, 'PUBLIC',
           repeat('common words of every note ', 10) || CASE i % 1000 WHEN 7 THEN 'NeedLe' WHEN 8 THEN 'ЁЛКА' ELSE '' END
             || CASE i % 400 WHEN 5 THEN 'seldom' ELSE '' END,
           CASE WHEN i % 1000 = 7 THEN ARRAY['Trip/japan/kyoto'] WHEN i < 50 THEN ARRAY['old'] ELSE ARRAY['all', 'x/'] END
         FROM generate_series(1, 8000) i; ANALYZE {schema}.note; ANALYZE {schema}.note_tag"
    );
    let client = database.superuser().await;
    client.batch_execute(&fill).await.unwrap();
    let filters = [
        ("content.contains('needle')", 8),
        ("content.contains('ёлка')", 8),
        ("content.contains('words of')", 1000),
        ("content.contains('SELDOM') && !pinned", 20),
        ("tag in ['trip']", 8),
        ("'trip/Japan/kyoto' in tags", 8),
        ("'trip/japan' in tags", 0),
        ("'old' in tags && !has_link", 48),
        ("'all' in tags", 1000),
        ("'all' in tags && tag in ['X']", 1000),
        ("'trip/japan/kyoto' in tags && tag in ['all']", 0),
        ("tag in ['trip', 'old', 'none']", 56),
        ("tag in ['trip', 'none', 'a', 'b', 'c']", 8),
        ("'all' in tags && content.contains('needle')", 0),
        ("tag in ['trip'] || content.contains('ёлка')", 16),
    ];
    let uids = async |text: &str| -> Vec<String> {
        let filter = filter::parse(text, NOW).unwrap();
        listed(&store, &scope, Some(&filter)).await.into_iter().map(|note| note.uid).collect()
    };
    let mut before = Vec::new();
    for (text, count) in filters {
        before.push(uids(text).await);
        assert_eq!(before.last().unwrap().len(), count, "{text}");
    }
    assert_eq!(store.build_search_index(5_000.0).await.unwrap(), Some(schema.clone()));
    assert_eq!(store.build_search_index(5_000.0).await.unwrap(), None, "it is there");
    for ((text, _), before) in filters.iter().zip(&before) {
        assert_eq!(&uids(text).await, before, "{text}");
    }
    assert_eq!(store.tend_sketches(5_000.0, &mut String::new()).await.unwrap(), 8000);
    for ((text, _), before) in filters.iter().zip(before) {
        assert_eq!(uids(text).await, before, "{text}");
    }
    let plan = async |condition: &str| -> String {
        let sql = format!("EXPLAIN SELECT id FROM note n WHERE n.parent_id IS NULL AND NOT n.archived AND {condition}");
        let rows = store.begin(&scope).read_once(&sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect()
    };
    for (condition, index) in [
        ("n.content COLLATE \"C\" ILIKE '%needle%'", "note_content_trgm_idx"),
        ("n.content COLLATE \"C\" ~ '[ёЁ][лЛ][кК][аА]'", "note_content_trgm_idx"),
    ] {
        let found = plan(condition).await;
        assert!(found.contains(index), "{condition}: {found}");
    }
    let pinned = Order { pinned_first: true, ..Order::default() };
    let first: Vec<i64> = page(&store, &scope, None, (pinned, 5)).await.iter().map(|note| note.id.0).collect();
    assert_eq!(first, [7503, 5003, 2503, 3, 8000]);
    let needle = filter::parse("content.contains('needle') || pinned", NOW).unwrap();
    let first: Vec<i64> = page(&store, &scope, Some(&needle), (pinned, 6)).await.iter().map(|note| note.id.0).collect();
    assert_eq!(first, [7503, 5003, 2503, 3, 7007, 6007]);
}
