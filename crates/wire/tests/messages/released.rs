//! What was released to clients stays: the services are compared with `proto/released.txt`, and only additions pass.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// What clients rely on: where, by name and number, and what stands there.
type Surface = BTreeMap<String, String>;

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(wire::CLIENT_DESCRIPTORS).expect("the build wrote descriptors")
}

fn surface(files: &FileDescriptorSet) -> Surface {
    let mut surface = Surface::new();
    for file in &files.file {
        for message in &file.message_type {
            of_message(&mut surface, file.package(), message);
        }
        for of in &file.enum_type {
            of_enum(&mut surface, file.package(), of);
        }
        of_services(&mut surface, file);
    }
    surface
}

fn of_message(surface: &mut Surface, within: &str, message: &DescriptorProto) {
    let name = format!("{within}.{}", message.name());
    surface.insert(format!("message {name}"), String::new());
    for field in &message.field {
        let label = match field.label() {
            Label::Repeated => "repeated",
            Label::Required => "required",
            Label::Optional if field.proto3_optional() => "optional",
            Label::Optional => "singular",
        };
        let of = field.r#type();
        let kind = if matches!(of, Type::Message | Type::Enum | Type::Group) {
            field.type_name().trim_start_matches('.').to_owned()
        } else {
            of.as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase()
        };
        let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
        let oneof = oneof.and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
        let oneof = oneof.map(|oneof| format!(" of {}", oneof.name())).unwrap_or_default();
        let said = format!("{} {label} {kind}{oneof}", field.name());
        surface.insert(format!("field {name} {}", field.number()), said);
    }
    for nested in &message.nested_type {
        of_message(surface, &name, nested);
    }
    for nested in &message.enum_type {
        of_enum(surface, &name, nested);
    }
}

fn of_enum(surface: &mut Surface, within: &str, of: &EnumDescriptorProto) {
    let name = format!("{within}.{}", of.name());
    surface.insert(format!("enum {name}"), String::new());
    for value in &of.value {
        surface.insert(format!("value {name} {}", value.number()), value.name().to_owned());
    }
}

fn of_services(surface: &mut Surface, file: &FileDescriptorProto) {
    for service in &file.service {
        let name = format!("{}.{}", file.package(), service.name());
        surface.insert(format!("service {name}"), String::new());
        for method in &service.method {
            let stream = |is: bool| if is { "stream " } else { "" };
            let (input, output) = (method.input_type(), method.output_type());
            let (asks, answers) = (stream(method.client_streaming()), stream(method.server_streaming()));
            let said =
                format!("{asks}{} -> {answers}{}", input.trim_start_matches('.'), output.trim_start_matches('.'));
            surface.insert(format!("method {name}/{}", method.name()), said);
        }
    }
}

/// What was released and is no longer so.
fn breaks(released: &Surface, now: &Surface) -> Vec<String> {
    let broken = released.iter().filter_map(|(place, was)| match now.get(place) {
        None => Some(format!("{place}: removed, was `{was}`")),
        Some(is) if is != was => Some(format!("{place}: was `{was}`, is `{is}`")),
        Some(_) => None,
    });
    broken.collect()
}

fn text(surface: &Surface) -> String {
    let lines = surface.iter().map(|(place, said)| format!("{place}: {said}").trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn read(text: &str) -> Surface {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(place, said)| (place.to_owned(), said.trim().to_owned())).collect()
}

#[test]
fn nothing_that_was_released_is_taken_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/released.txt");
    let released = std::fs::read_to_string(&path).unwrap_or_default();
    let now = surface(&descriptors());
    let broken = breaks(&read(&released), &now);
    assert!(broken.is_empty(), "clients rely on what is released (proto/README.md):\n{}", broken.join("\n"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text(&now)).expect("the list can be written");
    }
    let released = std::fs::read_to_string(&path).expect("there is a list of what was released");
    assert!(read(&released).len() > 100, "the list was emptied");
    assert_eq!(text(&read(&released)), released, "the list was edited by hand");
}

/// Changes the descriptors; gives what breaks.
fn broken_by(change: impl FnOnce(&mut FileDescriptorSet)) -> Vec<String> {
    let released = surface(&descriptors());
    let mut changed = descriptors();
    change(&mut changed);
    breaks(&released, &surface(&changed))
}

fn message<'s>(files: &'s mut FileDescriptorSet, name: &str) -> &'s mut DescriptorProto {
    let mut messages = files.file.iter_mut().flat_map(|file| &mut file.message_type);
    messages.find(|message| message.name() == name).expect("the message is there")
}

fn file<'s>(files: &'s mut FileDescriptorSet, name: &str) -> &'s mut FileDescriptorProto {
    files.file.iter_mut().find(|file| file.name().ends_with(name)).expect("the file is there")
}

/// A change by its name.
type Change = (&'static str, fn(&mut FileDescriptorSet));

#[test]
fn every_kind_of_break_is_caught() {
    let changes: [Change; 14] = [
        ("a field removed", |files| drop(message(files, "Claim").field.pop())),
        ("a field renumbered", |files| message(files, "Claim").field[0].number = Some(99)),
        ("a field renamed", |files| message(files, "Claim").field[0].name = Some("other".to_owned())),
        ("another type", |files| message(files, "Claim").field[0].set_type(Type::Bytes)),
        ("another cardinality", |files| message(files, "Claim").field[0].set_label(Label::Repeated)),
        ("another presence", |files| message(files, "Claim").field[4].proto3_optional = None),
        ("a field taken out of its oneof", |files| message(files, "VerifyRequest").field[0].oneof_index = None),
        ("a message removed", |files| drop(file(files, "ledger.proto").message_type.pop())),
        ("a value removed", |files| drop(file(files, "ledger.proto").enum_type[0].value.pop())),
        ("a value renumbered", |files| file(files, "ledger.proto").enum_type[0].value[1].number = Some(9)),
        ("a method removed", |files| drop(file(files, "ledger.proto").service[0].method.pop())),
        ("answers that stream", |files| {
            file(files, "ledger.proto").service[0].method[0].server_streaming = Some(true);
        }),
        ("requests that stream", |files| {
            file(files, "ledger.proto").service[0].method[0].client_streaming = Some(true);
        }),
        ("another answer", |files| {
            file(files, "ledger.proto").service[0].method[0].output_type = Some(".einvoice.v1.Claim".to_owned());
        }),
    ];
    for (name, change) in changes {
        assert!(!broken_by(change).is_empty(), "{name} passed");
    }
}

#[test]
fn additions_pass() {
    let added = broken_by(|files| {
        let mut field = message(files, "Claim").field[0].clone();
        (field.name, field.number) = (Some("new".to_owned()), Some(99));
        message(files, "Claim").field.push(field);
        let mut new = message(files, "Claim").clone();
        new.name = Some("New".to_owned());
        let ledger = file(files, "ledger.proto");
        ledger.message_type.push(new);
        let mut method = ledger.service[0].method[0].clone();
        method.name = Some("New".to_owned());
        ledger.service[0].method.push(method);
        let mut value = ledger.enum_type[0].value[0].clone();
        (value.name, value.number) = (Some("NEW".to_owned()), Some(99));
        ledger.enum_type[0].value.push(value);
    });
    assert_eq!(added, Vec::<String>::new());
}
