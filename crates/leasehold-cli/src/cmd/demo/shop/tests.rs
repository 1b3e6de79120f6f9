use super::*;

fn shop() -> (tempfile::TempDir, Shop) {
    let home = tempfile::tempdir().unwrap();
    let shop = Shop::create(&home.path().join("shop.db"), 5).unwrap();
    (home, shop)
}

fn token(number: u64) -> FencingToken {
    FencingToken::new(number).unwrap()
}

#[test]
fn an_unfenced_shop_believes_whoever_writes_last() {
    let (_home, mut shop) = shop();
    assert_eq!(shop.stock().unwrap(), 5);
    assert_eq!(shop.sell(1, 5).unwrap(), 5);
    assert_eq!(shop.sell(2, 5).unwrap(), 4, "the sale of worker 1 is overwritten");
    assert_eq!(shop.count().unwrap(), Count { orders: 2, remaining: 4 });
}

#[test]
fn a_fenced_shop_refuses_whoever_is_late_and_changes_nothing() {
    let (_home, mut shop) = shop();
    assert_eq!(shop.claim(token(17)).unwrap(), Reading::Stock(5));
    assert_eq!(shop.claim(token(18)).unwrap(), Reading::Stock(5));
    assert_eq!(shop.sell_fenced(1, 5, token(17)).unwrap(), Sale::Refused { mark: 18 });
    assert_eq!(shop.sell_fenced(2, 5, token(18)).unwrap(), Sale::Written { found: 5 });
    assert_eq!(shop.claim(token(17)).unwrap(), Reading::Refused { mark: 18 });
    assert_eq!(shop.count().unwrap(), Count { orders: 1, remaining: 4 });
}

#[test]
fn the_naive_lock_opens_when_it_expires_and_to_anybody_who_deletes_it() {
    let (_home, shop) = shop();
    assert!(shop.naive_lock(0, 100).unwrap());
    assert!(!shop.naive_lock(99, 199).unwrap());
    assert!(shop.naive_lock(100, 200).unwrap());
    shop.naive_unlock().unwrap();
    assert!(shop.naive_lock(101, 201).unwrap());
}
