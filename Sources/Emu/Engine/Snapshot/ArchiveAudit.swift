/// Checks that classes and values archive every stored property, or say that they do not.
///
/// It has a graph saved and compares the names that each type gives with those that reflection shows.
package final class ArchiveAudit {
  /// Stored properties that are neither archived nor transient, and names of none, as
  /// `Type.property`.
  package private(set) var findings: Set<String> = []
  /// Which types were seen.
  package private(set) var seen: Set<String> = []

  private var names: [Set<String>] = []
  private var ignored = 0

  /// An audit that has seen nothing.
  package init() {}

  package func note(_ name: StaticString) { note([name.description]) }

  package func note(_ more: [String]) {
    guard ignored == 0, !names.isEmpty else { return }
    names[names.count - 1].formUnion(more)
  }

  func ignoring(_ body: () -> Void) {
    ignored += 1
    body()
    ignored -= 1
  }

  func visit(_ object: any Archivable, _ archive: Archive) {
    names.append([])
    object.archive(archive)
    compare(Mirror(reflecting: object), names.removeLast(), "\(type(of: object))")
  }

  package func value<T: Archived>(_ name: StaticString, _ value: inout T, _ archive: Archive) {
    note(name)
    let outer = ignored
    ignored = 0
    names.append([])
    value.archive(archive)
    ignored = outer
    let own = names.removeLast()
    let mirror = Mirror(reflecting: value)
    // What the standard library archives has no names.
    if mirror.displayStyle == .struct, !own.isEmpty { compare(mirror, own, "\(T.self)") }
  }

  /// Compares the names given by `body` with the stored properties of `object`, which is archived
  /// in place and no object of a graph.
  package func inPlace(_ object: AnyObject, _ body: () -> Void) {
    names.append([])
    body()
    compare(Mirror(reflecting: object), names.removeLast(), "\(type(of: object))")
  }

  private func compare(_ mirror: Mirror, _ names: Set<String>, _ type: String) {
    seen.insert(type)
    var stored: Set<String> = []
    var level: Mirror? = mirror
    while let here = level {
      for child in here.children {
        guard var label = child.label else { continue }
        if label.hasPrefix("$__lazy_storage_$_") { label.removeFirst(18) }
        stored.insert(label)
      }
      level = here.superclassMirror
    }
    for name in stored.subtracting(names) { findings.insert("\(type).\(name) is forgotten") }
    for name in names.subtracting(stored) where !name.isEmpty {
      findings.insert("\(type).\(name) does not exist")
    }
  }
}
