import Engine
import Probes

/// A machine as snapshots see it.
protocol SnapshotSubject: AnyObject {
  /// What another machine must have in common with it.
  var facts: MachineFacts { get }
  /// RAM.
  var ram: PhysicalMemory { get }
  /// Its harts.
  var archivedHarts: [Hart] { get }
  /// Why there can be no snapshot now.
  var obstacle: String? { get }
  /// The classes of its objects, in an order that is part of the format.
  var archivedTypes: [any Archivable.Type] { get }
  /// What its objects ask of their archive.
  var archiveContext: AnyObject? { get }
  /// Its probes, if there are any.
  var probeSubsystem: ProbeSubsystem? { get }
  /// Saves or restores everything but RAM, harts and probes.
  func archiveParts(_ archive: Archive)
  /// Gives the present state up.
  func retireState()
  /// Gives up what could be made of a state that is no good.
  func discard(_ objects: [any Archivable])
  /// Everything was restored: derives what follows from it.
  func finishRestoring()
  /// What decides what the host answers next.
  var hostState: [UInt8] { get set }
}

extension SnapshotSubject {
  private func save(harts: Bool, audit: ArchiveAudit? = nil) -> Archive.Saved {
    Archive.save(
      types: archivedTypes, context: archiveContext, externals: probeSubsystem?.externals ?? [],
      audit: audit
    ) { archive in archiveState(archive, harts: harts) }
  }

  private func archiveState(_ archive: Archive, harts: Bool) {
    if harts {
      for hart in archivedHarts { hart.archive(archive) }
    }
    archiveParts(archive)
    var hasProbes = probeSubsystem?.isInUse ?? false
    archive("hasProbes", &hasProbes)
    guard let probes = probeSubsystem else {
      if hasProbes { archive.fail("it has probes, and this machine none") }
      return
    }
    if hasProbes {
      probes.archive(archive)
    } else if archive.isReading {
      probes.forgetAll()
    }
  }

  /// Checks that nothing of the state is forgotten (``ArchiveAudit``).
  func audit() -> ArchiveAudit {
    let audit = ArchiveAudit()
    _ = save(harts: false, audit: audit)
    return audit
  }

  func hashState() -> StateHash {
    var hash = StateHash()
    for hart in archivedHarts { hash.combine(hart.registerHash) }
    let saved = save(harts: false)
    hash.combine(StateHash(saved.bytes))
    hash.combine(ram.hash())
    return hash
  }

  func takeSnapshot() throws(SnapshotError) -> MachineSnapshot {
    if let obstacle { throw SnapshotError("no snapshot now: \(obstacle)") }
    let saved = save(harts: true)
    if let problem = saved.problem { throw SnapshotError("no snapshot now: \(problem)") }
    return MachineSnapshot(
      count: archivedHarts.reduce(0) { $0 &+ $1.count }, facts: facts, ram: ram.image(),
      state: saved.bytes, hostState: hostState, probes: probeSubsystem?.summaries ?? [],
      externals: saved.externals, machine: self)
  }

  func restoreSnapshot(_ snapshot: MachineSnapshot) throws(SnapshotError) {
    if let obstacle { throw SnapshotError("no snapshot can be restored now: \(obstacle)") }
    if let difference = facts.difference(from: snapshot.facts) {
      throw SnapshotError("the snapshot is of another machine: \(difference)")
    }
    let isOwn = snapshot.machine === self
    let externals = isOwn ? snapshot.externals : probeSubsystem?.externals ?? []
    if !isOwn, let problem = probesDiffer(from: snapshot.probes) { throw SnapshotError(problem) }
    // What was never restored before may turn out to be no good half-way.
    let present = snapshot.isProven && isOwn ? nil : save(harts: true)
    if let problem = read(snapshot.state, externals) {
      if let present, let worse = read(present.bytes, present.externals) {
        preconditionFailure("the state before can't be restored either: \(worse)")
      }
      throw SnapshotError("the snapshot can't be restored: \(problem)")
    }
    snapshot.isProven = true
    ram.restore(snapshot.ram)
    hostState = snapshot.hostState
    finishRestoring()
  }

  private func read(_ bytes: [UInt8], _ externals: [AnyObject]) -> String? {
    retireState()
    return Archive.restore(
      bytes, types: archivedTypes, context: archiveContext, externals: externals, discard: discard
    ) { archive in archiveState(archive, harts: true) }
  }

  private func probesDiffer(from theirs: [String]) -> String? {
    let mine = probeSubsystem?.summaries ?? []
    if mine == theirs { return nil }
    guard mine.count == theirs.count else {
      return "the snapshot needs \(theirs.count) probes, \(mine.count) are registered here"
    }
    let index = mine.indices.first { mine[$0] != theirs[$0] } ?? 0
    return "probe \(index + 1) of the snapshot is \(theirs[index]), here \(mine[index])"
  }
}

/// A machine that can be saved and restored, by a snapshot or as a fingerprint.
public protocol SnapshotMachine: AnyObject {
  /// The whole machine as it is now, between two instructions.
  ///
  /// - Throws: ``SnapshotError`` where it is called from inside a run.
  func snapshot() throws(SnapshotError) -> MachineSnapshot
  /// Makes the machine what it was, or what another of the same configuration was.
  ///
  /// Objects of the guest kernel's model that somebody holds belong to the state before: tasks,
  /// files and address spaces are to be looked up again. A machine that a snapshot does not fit stays
  /// as it is.
  ///
  /// - Throws: ``SnapshotError``
  func restore(_ snapshot: MachineSnapshot) throws(SnapshotError)
  /// A fingerprint of registers, RAM, devices, the guest kernel's model and the files in it.
  ///
  /// It is the same in every process and with every engine. What caches hold is not in it.
  func stateHash() -> StateHash
}
