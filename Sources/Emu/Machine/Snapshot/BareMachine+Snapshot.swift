import Engine
import Probes

extension BareMachine: SnapshotMachine {
  /// The whole board as it is now, between two instructions.
  ///
  /// - Throws: ``SnapshotError`` where it is called from inside a run.
  public func snapshot() throws(SnapshotError) -> MachineSnapshot { try takeSnapshot() }

  /// Makes the board what it was, or what another of the same configuration was.
  ///
  /// Bytes of drives that are files of the host stay as they are.
  ///
  /// - Throws: ``SnapshotError``
  public func restore(_ snapshot: MachineSnapshot) throws(SnapshotError) {
    try restoreSnapshot(snapshot)
  }

  /// A fingerprint of registers, RAM, devices and drives in memory.
  public func stateHash() -> StateHash { hashState() }
}

extension BareMachine: SnapshotSubject {
  var facts: MachineFacts {
    var facts = MachineFacts()
    facts.kind = "board"
    facts.isa = configuration.architecture.rawValue
    facts.memory = ram.size
    facts.harts = harts.count
    facts.caches = configuration.cacheModel.rawValue
    facts.details = [
      "virtio": "\(configuration.virtIO)",
      "drives": configuration.drives.map { "\($0.size)" }.joined(separator: ", "),
      "virtio console": configuration.virtIOConsole ? "yes" : "no",
      "virtio random numbers": configuration.entropy == nil ? "no" : "yes",
      "quantum": String(configuration.quantum),
    ]
    return facts
  }

  var archivedHarts: [Hart] { harts }
  var obstacle: String? { isRunning ? "the machine runs" : nil }
  var archivedTypes: [any Archivable.Type] { [] }
  var archiveContext: AnyObject? { nil }
  var probeSubsystem: ProbeSubsystem? { nil }

  func archiveParts(_ archive: Archive) {
    archive("base", &base)
    archive("skipped", &skipped)
    archive("last", &last)
    archiveTurn(archive)
    archive("exit", &exit)
    archive("waiting", &waiting)
    for index in harts.indices {
      archive.enumeration("state", &states[index])
      var (address, opaque) = (resumeAt[index]?.address, resumeAt[index]?.opaque ?? 0)
      archive("address", &address)
      archive("opaque", &opaque)
      if archive.isReading { resumeAt[index] = address.map { ($0, opaque) } }
    }
    if waiting.count != harts.count || !(-1..<harts.count).contains(last) {
      archive.fail("a board of \(waiting.count) harts, of which number \(last) ran last")
      waiting = Array(repeating: false, count: harts.count)
      last = -1
    }
    archiveImage(archive)
    board.archive(archive)
  }

  private func archiveTurn(_ archive: Archive) {
    var (hart, left) = (unfinished?.hart, unfinished?.left ?? 0)
    archive("hart", &hart)
    archive("left", &left)
    guard archive.isReading else { return }
    unfinished = hart.map { ($0, left) }
    if let hart, !harts.indices.contains(hart) {
      unfinished = nil
      archive.fail("a turn of hart \(hart)")
    }
  }

  /// How the image was entered, and how it ends.
  private func archiveImage(_ archive: Archive) {
    var hasFirmware = board.hasFirmware
    archive("hasFirmware", &hasFirmware)
    var (tohost, fromhost) = (htif?.tohost, htif?.fromhost)
    archive("tohost", &tohost)
    archive("fromhost", &fromhost)
    if archive.isReading {
      if hasFirmware != board.hasFirmware, !board.setFirmware(hasFirmware) {
        archive.fail("firmware on a board that has none")
      }
      if htif?.tohost != tohost || htif?.fromhost != fromhost {
        htif = nil
        if let tohost { watchHTIF(tohost: tohost, fromhost: fromhost) }
        if tohost != nil, htif == nil { archive.fail("a tohost outside RAM") }
      }
    }
    htif?.archive(archive)
  }

  func retireState() {}
  func discard(_ objects: [any Archivable]) {}

  func finishRestoring() {
    // Stores to what one has reserved are seen while others run.
    if harts.count > 1 {
      for hart in harts { hart.leave() }
    }
  }

  /// What the console has read comes first, by its length.
  var hostState: [UInt8] {
    get {
      let own = console.archivedState
      var length = [UInt8](repeating: 0, count: 8)
      length.store64(0, UInt64(own.count))
      return length + own + (chooser?.archivedState ?? [])
    }
    set {
      let length = Int(clamping: min(newValue.load64(0), UInt64(newValue.count)))
      console.archivedState = Array(newValue.dropFirst(8).prefix(length))
      chooser?.archivedState = Array(newValue.dropFirst(8 + length))
    }
  }
}

extension BareExit: Archived {
  package static func placeholder(_ archive: Archive) -> BareExit { .reset }
  package mutating func archive(_ archive: Archive) {
    var kind: UInt8
    var (status, test): (Int32, UInt64) = (0, 0)
    switch self {
    case .finished(let with): (kind, status) = (0, with)
    case .reset: kind = 1
    case .testFailed(let number): (kind, test) = (2, number)
    case .limit: kind = 3
    case .stuck: kind = 4
    case .interrupted: kind = 5
    case .shutDown: kind = 6
    }
    kind = archive.choice(kind, below: 7)
    archive("", &status)
    archive("", &test)
    switch kind {
    case 0: self = .finished(status: status)
    case 1: self = .reset
    case 2: self = .testFailed(test)
    case 3: self = .limit
    case 4: self = .stuck
    case 5: self = .interrupted
    default: self = .shutDown
    }
  }
}
