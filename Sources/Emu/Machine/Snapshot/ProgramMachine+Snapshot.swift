import Engine
import GuestKernel
import Probes

extension ProgramMachine: SnapshotMachine {
  /// The whole machine as it is now, between two instructions.
  ///
  /// - Throws: ``SnapshotError`` where it is called from inside a run.
  public func snapshot() throws(SnapshotError) -> MachineSnapshot { try takeSnapshot() }

  /// Makes the machine what it was, or what another of the same configuration was.
  ///
  /// - Throws: ``SnapshotError``, where another machine has other probes too.
  public func restore(_ snapshot: MachineSnapshot) throws(SnapshotError) {
    try restoreSnapshot(snapshot)
  }

  /// A fingerprint of registers, RAM, the guest kernel's model and the files in it.
  public func stateHash() -> StateHash { hashState() }
}

extension ProgramMachine: SnapshotSubject {
  var facts: MachineFacts {
    var facts = MachineFacts()
    facts.kind = "program"
    facts.isa = kernel.isa.machineName
    facts.memory = ram.size
    facts.harts = 1
    facts.caches = hart.cacheModel.rawValue
    facts.details = isa.details
    facts.details["guest kernel"] = kernelFingerprint.description
    return facts
  }

  var archivedHarts: [Hart] { [hart] }

  var obstacle: String? {
    if isRunning { return "the machine runs" }
    return programTime == nil ? nil : "its time is the program's (a verification)"
  }

  var archivedTypes: [any Archivable.Type] {
    Kernel.archivedTypes + ProbeSubsystem.archivedTypes
  }

  var archiveContext: AnyObject? { kernel }

  var probeSubsystem: ProbeSubsystem? {
    for case let probes as ProbeSubsystem in kernel.trapHooks.map(\.hook) { return probes }
    return nil
  }

  func archiveParts(_ archive: Archive) {
    archive("skipped", &skipped)
    archive("sliceEnd", &sliceEnd)
    kernel.archive(archive)
  }

  func retireState() { kernel.retire() }
  func discard(_ objects: [any Archivable]) { Kernel.discard(objects) }
  func finishRestoring() {}

  var hostState: [UInt8] {
    get { chooser.archivedState }
    set { chooser.archivedState = newValue }
  }
}
