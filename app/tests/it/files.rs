//! Files, in and out.

use actix_web::body::{BodySize, MessageBody, to_bytes};
use actix_web::{HttpResponse, http::StatusCode};
use app::files::download::{self, Ask, Shelf};
use app::files::service::{self, Upload};
use app::files::thumbnail::Thumbnails;
use app::notes::{Error, attachments, service as notes};
use domain::note::Visibility::{Private, Public};
use identity::Actor;

use crate::house::{House, actor, draft};

fn upload(uid: &str, filename: &str, content: &[u8]) -> Upload {
    Upload { uid: uid.to_owned(), filename: filename.to_owned(), content: content.to_vec(), ..Upload::default() }
}

fn why<T>(result: Result<T, Error>) -> String {
    result.err().map_or_else(|| "ok".to_owned(), |error| error.to_string())
}

async fn get(house: &House, who: &Actor, ask: Ask) -> Result<HttpResponse, web::Error> {
    let thumbnails = Thumbnails::default();
    download::serve(&house.desk(who), Shelf { files: &house.files, thumbnails: &thumbnails }, &ask).await
}

fn header<'a>(answer: &'a HttpResponse, name: &str) -> Option<&'a str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

async fn body(answer: HttpResponse) -> Vec<u8> {
    to_bytes(answer.into_body()).await.unwrap_or_default().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_out_as_it_went_in() {
    let house = House::build(11).await;
    let (mia, max, nobody) = (actor(1), actor(2), Actor::Anonymous);
    let desk = house.desk(&mia);
    let content: Vec<u8> = (0..3000_u32).map(|at| (at % 251) as u8).collect();
    let stored = service::create(&desk, &house.files, upload("f1", "a b ü.bin", &content)).await.unwrap();
    assert_eq!((stored.size, stored.kind.as_str()), (3000, "application/octet-stream"));
    let again = why(service::create(&desk, &house.files, upload("f1", "x", b"")).await);
    assert_eq!(again, "attachment with ID \"f1\" already exists");

    let ask = |range: &str| Ask { uid: "f1".to_owned(), range: Some(range.to_owned()), ..Ask::default() };
    let whole = get(&house, &mia, ask("")).await.unwrap();
    assert_eq!((whole.status(), whole.body().size()), (StatusCode::OK, BodySize::Sized(3000)));
    assert_eq!(header(&whole, "cache-control"), Some("public, max-age=3600"));
    assert_eq!(header(&whole, "x-content-type-options"), Some("nosniff"));
    assert_eq!(
        whole.headers().get("content-disposition").unwrap().as_bytes(),
        "attachment; filename=\"a b ü.bin\"".as_bytes()
    );
    assert_eq!(body(whole).await, content);
    let part = get(&house, &mia, ask("bytes=10-19")).await.unwrap();
    assert_eq!(header(&part, "content-range"), Some("bytes 10-19/3000"));
    assert_eq!(body(part).await, content[10..20]);
    assert_eq!(get(&house, &mia, ask("bytes=9000-")).await.unwrap().status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let several = body(get(&house, &mia, ask("bytes=0-1,4-5")).await.unwrap()).await;
    assert!(several.windows(2).any(|two| two == &content[4..6]));

    assert_eq!(get(&house, &max, ask("")).await.err().map(|error| error.status()), Some(StatusCode::FORBIDDEN));
    assert_eq!(get(&house, &nobody, ask("")).await.err().map(|error| error.status()), Some(StatusCode::UNAUTHORIZED));
    let note = draft("n", "with a file", Public);
    let note = notes::create(&desk, &notes::Draft { attachments: vec!["f1".to_owned()], ..note }).await.unwrap();
    assert_eq!(note.card.attachments.len(), 1);
    assert_eq!(get(&house, &nobody, ask("")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_have_thumbnails_and_lose_their_descriptions() {
    let house = House::build(12).await;
    let mia = actor(1);
    let mut png = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(900, 300).write_to(&mut png, image::ImageFormat::Png).unwrap();
    service::create(&house.desk(&mia), &house.files, upload("p", "p.png", png.get_ref())).await.unwrap();
    let small = get(&house, &mia, Ask { uid: "p".to_owned(), thumbnail: true, ..Ask::default() }).await.unwrap();
    assert_eq!(header(&small, "content-type"), Some("image/jpeg"));
    let small = image::load_from_memory(&body(small).await).unwrap();
    assert_eq!((small.width(), small.height()), (600, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_follow_their_note_and_go_with_it() {
    let house = House::build(13).await;
    let (mia, max) = (actor(1), actor(2));
    let (desk, other) = (house.desk(&mia), house.desk(&max));
    for uid in ["a", "b", "c"] {
        service::create(&desk, &house.files, upload(uid, "t.txt", uid.as_bytes())).await.unwrap();
    }
    notes::create(&desk, &draft("n", "note", Private)).await.unwrap();
    let names = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>();
    attachments::set(&desk, "n", &names(&["b", "a"])).await.unwrap();
    let note = notes::get(&desk, "n").await.unwrap();
    assert_eq!(note.card.attachments.iter().map(|file| file.uid.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(why(service::get(&other, "a").await), "permission denied");
    assert_eq!(why(attachments::set(&desk, "n", &names(&["nope"])).await), "attachment not found: nope");
    assert_eq!(why(service::delete(&other, "a").await), "attachment not found");

    attachments::set(&desk, "n", &names(&["a"])).await.unwrap();
    assert_eq!(why(service::get(&desk, "b").await), "attachment not found");
    let renamed = service::update(&desk, "a", Some("new.txt")).await.unwrap();
    assert_eq!(notes::get(&desk, "n").await.unwrap().card.attachments[0].filename, renamed.filename);
    let listed = service::list(&desk, 1, "", "").await.unwrap();
    assert_eq!((listed.files.len(), listed.next_page_token.as_str()), (1, "1"));
    let unused = service::list(&desk, 0, "", "memo_id == null").await.unwrap();
    assert_eq!(unused.files.iter().map(|file| file.uid.as_str()).collect::<Vec<_>>(), ["c"]);

    assert_eq!(why(service::delete_many(&desk, &[]).await), "attachment names are required");
    assert_eq!(why(service::delete_many(&other, &names(&["c"])).await), "permission denied");
    service::delete_many(&desk, &names(&["c"])).await.unwrap();
    notes::delete(&desk, "n").await.unwrap();
    assert_eq!(why(service::get(&desk, "a").await), "attachment not found");
}
