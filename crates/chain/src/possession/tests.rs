//! Proofs of possession: their fixed bytes, and that they are good for one thing.

use super::*;
use crate::hash::Hash;

fn chain(name: &str) -> ChainId {
    format!("{name}@{}", Hash::of(name.as_bytes())).parse().unwrap()
}

fn reference(organisation: &str, key: &str) -> KeyReference {
    KeyReference { organisation: organisation.parse().unwrap(), key: key.parse().unwrap() }
}

#[test]
fn what_a_new_key_signs_does_not_move() {
    let (chain, key) = (chain("test"), reference("shop", "s2"));
    let offer = Offer { chain: &chain, key: &key, terms: "statement own" };
    let secret = SecretKey::from_seed([7; 32]);
    let expected = format!("einvoice-key/1\n{chain}\nshop/s2\n{}\nstatement own\n", secret.public());
    assert_eq!(offer.sign_bytes(&secret.public()), expected);
    assert_eq!(offer.verify(&secret.public(), &offer.sign(&secret)), Ok(()));
}

#[test]
fn a_proof_is_good_for_one_chain_organisation_id_key_and_use() {
    let (here, elsewhere) = (chain("test"), chain("other"));
    let (key, of_another, under_another) = (reference("shop", "s2"), reference("mall", "s2"), reference("shop", "s3"));
    let offer = Offer { chain: &here, key: &key, terms: "statement own" };
    let secret = SecretKey::from_seed([7; 32]);
    let proof = offer.sign(&secret);
    for wrong in [
        Offer { chain: &elsewhere, ..offer },
        Offer { key: &of_another, ..offer },
        Offer { key: &under_another, ..offer },
        Offer { terms: "login own", ..offer },
        Offer { terms: "statement hosted-by bank", ..offer },
    ] {
        assert_eq!(wrong.verify(&secret.public(), &proof), Err(SignatureInvalid), "{wrong:?}");
    }
    let another = SecretKey::from_seed([8; 32]);
    assert_eq!(offer.verify(&another.public(), &proof), Err(SignatureInvalid));
}

#[test]
#[should_panic(expected = "one line")]
fn terms_of_two_lines_are_a_mistake_of_ours() {
    let (chain, key) = (chain("test"), reference("shop", "s2"));
    Offer { chain: &chain, key: &key, terms: "statement\nown" }.sign(&SecretKey::from_seed([7; 32]));
}

#[test]
fn what_a_governance_key_signs_does_not_move_and_is_good_for_one_change() {
    let (here, elsewhere) = (chain("test"), chain("other"));
    let (shop, mall) = ("shop".parse().unwrap(), "mall".parse().unwrap());
    let steps = ["add s2 AAAA statement own".to_owned(), "revoke s1".to_owned()];
    let other = ["revoke s1".to_owned(), steps[0].clone()];
    let change = Change { chain: &here, organisation: &shop, steps: &steps };
    let expected = format!("einvoice-keys/1\n{here}\nshop\nadd s2 AAAA statement own\nrevoke s1\n");
    assert_eq!(change.sign_bytes(), expected);
    let secret = SecretKey::from_seed([7; 32]);
    let approval = change.sign(&secret);
    assert_eq!(change.verify(&secret.public(), &approval), Ok(()));
    for wrong in [
        Change { chain: &elsewhere, ..change },
        Change { organisation: &mall, ..change },
        Change { steps: &steps[..1], ..change },
        Change { steps: &other, ..change },
    ] {
        assert_eq!(wrong.verify(&secret.public(), &approval), Err(SignatureInvalid), "{wrong:?}");
    }
}
