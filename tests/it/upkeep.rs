//! What the worker does for the database at night.

use store::Vacuumed;
use testkit::pg::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogues_are_vacuumed_once_by_whoever_may() {
    let database = TestDatabase::create().await;
    let (store, other) = (database.store().await, database.store().await);
    let superuser = database.superuser().await;
    let sql = "SELECT count(*) FILTER (WHERE last_vacuum IS NOT NULL AND last_analyze IS NOT NULL), count(*)
        FROM pg_stat_all_tables WHERE schemaname = 'pg_catalog' AND relname IN ('pg_class', 'pg_attribute', 'pg_depend', 'pg_statistic')";
    let seen = async || {
        let row = superuser.query_one(sql, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    assert_eq!(seen().await, (0, 4));
    let before = store.server_facts().await.unwrap();
    assert!(before.may_vacuum_catalogues && before.catalogues_vacuumed.is_none(), "{before:?}");

    // Two workers at the same moment, and again.
    let (one, two) = tokio::join!(store.vacuum_catalogues(), other.vacuum_catalogues());
    let both = [one.unwrap(), two.unwrap()];
    let done = |outcome: &&Vacuumed| matches!(outcome, Vacuumed::Done(tables) if *tables > 50);
    assert_eq!(both.iter().filter(done).count(), 1, "{both:?}");
    assert!(seen().await.0 >= 3, "pg_statistic cannot be analysed, the others are");
    assert_eq!(store.vacuum_catalogues().await.unwrap(), Vacuumed::NotDue);
    assert!(store.server_facts().await.unwrap().catalogues_vacuumed.is_some_and(|ago| (0..60).contains(&ago)));

    // A role that does not own the database leaves them alone, and the doctor says who must.
    superuser.batch_execute(&format!("ALTER DATABASE {} OWNER TO postgres", database.name)).await.unwrap();
    assert_eq!(store.vacuum_catalogues().await.unwrap(), Vacuumed::NotAllowed);
    let mut facts = store.server_facts().await.unwrap();
    let told = |facts: &store::ServerFacts| {
        let found = admin::doctor::of_server(facts, store::CONTROL_VERSION, facts.clock);
        found.into_iter().find(|finding| finding.check == "catalogues").unwrap()
    };
    assert_eq!(told(&facts).status, "ok", "somebody did it lately");
    facts.catalogues_vacuumed = None;
    let finding = told(&facts);
    assert!(finding.status == "degraded" && finding.next.contains("vacuumdb --analyze"), "{finding:?}");
}
