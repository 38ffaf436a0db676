import Engine
import GuestKernel

// Probes in a snapshot.
//
// Handlers are functions, which can't be saved. So a snapshot names the registered probes by their
// order: on the same machine they are those objects, on another one those that were registered there
// in the same order.

/// A probe that somebody registered: it outlives the state of the machine.
protocol Registration: AnyObject {
  /// What it is and where, to tell whether another machine's is the same.
  var summary: String { get }
  /// Its counters, and whether it is in force.
  func archive(_ a: Archive)
  /// It is not registered any more.
  func forget()
}

extension Kprobe: Registration {
  var summary: String { "kprobe \(symbol)+\(offset)" }

  func archive(_ a: Archive) {
    a("hits", &hits)
    a("nmissed", &nmissed)
    a("isEnabled", &isEnabled)
    a("isRegistered", &isRegistered)
    a.transient(["address", "symbol", "offset", "pre", "post", "fault"])
  }

  func forget() { isRegistered = false }
}

extension Kretprobe: Registration {
  var summary: String { "kretprobe \(kprobe.symbol), maxactive \(maxactive)" }

  func archive(_ a: Archive) {
    a("hits", &hits)
    a("nmissed", &nmissed)
    a("active", &active)
    a.parts("kprobe") { kprobe.archive(a) }
    a.transient(["maxactive", "entry", "ret"])
  }

  func forget() { kprobe.forget() }
}

extension Uprobe: Registration {
  var summary: String { "uprobe at 0x" + String(offset, radix: 16) }

  func archive(_ a: Archive) {
    a.ref("inode", &inode)
    a("hits", &hits)
    a("nmissed", &nmissed)
    a("isEnabled", &isEnabled)
    a("isRegistered", &isRegistered)
    a.transient(["offset", "entry", "ret", "filter"])
  }

  func forget() { isRegistered = false }
}

extension Archive {
  /// Whose probes are archived.
  var probedKernel: Kernel {
    guard let kernel = context as? Kernel else {
      preconditionFailure("probes are archived with their kernel")
    }
    return kernel
  }

  /// Probes, by their places among those registered.
  func externals<T: AnyObject>(_ name: StaticString, _ value: inout [T]) {
    parts(name) {
      var length = value.count
      number(&length, each: 4)
      var found: [T] = []
      for index in 0..<length where problem == nil {
        var object: AnyObject? = isReading ? nil : value[index]
        external(name, &object)
        guard isReading else { continue }
        guard let probe = object as? T else {
          fail("one of \(name) is no \(T.self) that is registered here")
          return
        }
        found.append(probe)
      }
      if isReading { value = found }
    }
  }
}

extension ProbeSubsystem {
  /// The classes of probes, in an order that is part of the format.
  package static var archivedTypes: [any Archivable.Type] {
    [
      KprobePoint.self, KretprobeCall.self, UprobePoint.self, UprobeSpace.self, UprobeTask.self,
      UprobeArea.self, AreaIdentity.self, EntryValues.self,
    ]
  }

  /// The registered probes as objects outside of the state.
  ///
  /// A return probe of the kernel is preceded by the probe of its entry.
  package var externals: [AnyObject] {
    registrations.flatMap { registration -> [AnyObject] in
      if let probe = registration as? Kretprobe { return [probe.kprobe, probe] }
      return [registration]
    }
  }

  /// What is registered, to tell whether another machine has the same.
  package var summaries: [String] { registrations.map(\.summary) }

  /// Whether anything was ever done with probes that must be kept.
  package var isInUse: Bool { !registrations.isEmpty || kprobes.isInUse }

  /// Saves or restores what probes are doing.
  package func archive(_ a: Archive) {
    if a.isReading {
      for probe in registrations { probe.forget() }
      registrations = a.externals.compactMap { $0 as? any Registration }
      let entries = Set(
        registrations.compactMap { ($0 as? Kretprobe).map { ObjectIdentifier($0.kprobe) } })
      registrations.removeAll { entries.contains(ObjectIdentifier($0)) }
    }
    for probe in registrations { probe.archive(a) }
    kprobes.archive(a)
    uprobes.archive(a)
    a("breaksTaken", &breaksTaken)
    guard a.isReading else { return }
    spare = nil
    kprobes.kretprobes = [:]
    for case let probe as Kretprobe in registrations {
      kprobes.kretprobes[ObjectIdentifier(probe)] = probe
    }
  }

  /// The state that is restored knows of no probes.
  package func forgetAll() {
    for probe in registrations { probe.forget() }
    registrations = []
    kprobes.forgetAll()
    uprobes.forgetAll()
    spare = nil
  }
}

extension ProbedInsn: Archived {
  static package func placeholder(_ a: Archive) -> ProbedInsn {
    ProbedInsn(bytes: [], verdict: .outOfLine)
  }

  mutating package func archive(_ a: Archive) {
    a("bytes", &bytes)
    a("plan", &plan)
    var reason = ""
    var kind: UInt8
    switch verdict {
    case .outOfLine: kind = 0
    case .simulate: kind = 1
    case .refuse(let why, let refusal):
      (kind, reason) = (refusal == .invalid ? 2 : refusal == .unsupported ? 3 : 4, why)
    }
    a.parts("verdict") {
      kind = a.choice(kind, below: 5)
      a("", &reason)
    }
    guard a.isReading else { return }
    switch kind {
    case 0: verdict = .outOfLine
    case 1: verdict = .simulate
    case 2: verdict = .refuse(reason)
    default: verdict = .refuse(reason, kind == 3 ? .unsupported : .undecodable)
    }
  }
}

extension SlotState: Archived {
  static package func placeholder(_ a: Archive) -> SlotState { SlotState() }

  mutating package func archive(_ a: Archive) {
    a("status", &status)
    a("scratch", &scratch)
  }
}
