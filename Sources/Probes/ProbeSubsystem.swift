import Engine
import GuestKernel

/// Has the guest see text that was written.
final class FetchSynchronisation {
  let kernel: Kernel
  /// What is done wrongly on purpose.
  @exclusivity(unchecked) var legacy: LegacyPolicies = []

  init(_ kernel: Kernel) { self.kernel = kernel }

  /// Kernel text was written: the guest synchronises its fetch before it runs any of it.
  func kernelText() {
    if !legacy.contains(.noFetchSynchronisation) { kernel.instructionFlushNeeded = true }
    hurry()
  }

  /// Text of a program was written.
  func text(of space: AddressSpace) {
    if !legacy.contains(.noFetchSynchronisation) { space.instructionFlushNeeded = true }
    hurry()
  }

  /// What a host changed while the guest runs is to take effect at once.
  func hurry() {
    if !kernel.isServing { kernel.interruptHart() }
  }
}

/// The probes of one kernel: registration, and what happens when one is hit.
///
/// - SeeAlso: Linux, `kernel/kprobes.c`, `kernel/events/uprobes.c`
public final class ProbeSubsystem {
  /// The kernel.
  public let kernel: Kernel
  /// What must be known of the instruction set.
  public let isa: any ProbeISA
  /// What is done wrongly on purpose.
  public var legacy: LegacyPolicies {
    get { fetch.legacy }
    set { fetch.legacy = newValue }
  }

  /// Breaks of programs that were found to be probes' or to raise a signal.
  @exclusivity(unchecked) public internal(set) var breaksTaken: UInt64 = 0

  /// What handlers saw of the hit before.
  @exclusivity(unchecked) var spare: ProbeContext?

  /// The probes that are registered, in the order in which they were: what a snapshot names.
  var registrations: [any Registration] = []

  /// Is told of each store of a simulated instruction, once it is done: no hart does it.
  public var simulatedStore: ((_ va: UInt64, _ size: Int) -> Void)? {
    get { simulations.didStore }
    set { simulations.didStore = newValue }
  }
  private let simulations = SimulationObserver()

  let fetch: FetchSynchronisation
  let kprobes: KprobeMachine
  let uprobes: UprobeMachine

  /// Probes for `kernel`, which asks this object about its traps from now on.
  ///
  /// Whoever makes it keeps it alive as long as the kernel runs.
  public init(kernel: Kernel, isa: any ProbeISA) {
    self.kernel = kernel
    self.isa = isa
    fetch = FetchSynchronisation(kernel)
    kprobes = KprobeMachine(kernel: kernel, isa: isa, fetch: fetch)
    uprobes = UprobeMachine(kernel: kernel, isa: isa, fetch: fetch)
    kernel.add(self)
    kernel.observer = self
  }

  deinit {
    kernel.remove(self)
    if kernel.observer === self { kernel.observer = nil }
  }

  // MARK: Registration

  /// Registers a kernel probe.
  ///
  /// - SeeAlso: Linux, `kernel/kprobes.c`, `register_kprobe`
  public func registerKprobe(_ request: KprobeRequest) throws(ProbeError) -> Kprobe {
    let probe = try kprobes.register(request)
    registrations.append(probe)
    return probe
  }

  /// Registers a return probe of the kernel.
  ///
  /// - SeeAlso: Linux, `kernel/kprobes.c`, `register_kretprobe`
  public func registerKretprobe(_ request: KretprobeRequest) throws(ProbeError) -> Kretprobe {
    let probe = try kprobes.register(request)
    registrations.append(probe)
    return probe
  }

  /// Registers a probe of a program; with ``UprobeRequest/ret`` a return probe.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_register`
  public func registerUprobe(_ request: UprobeRequest) throws(ProbeError) -> Uprobe {
    let probe = try uprobes.register(request)
    registrations.append(probe)
    return probe
  }

  /// Registers a return probe of a program.
  public func registerUretprobe(
    _ file: ProbedFile, offset: UInt64, ret: @escaping (ProbeContext) -> Void
  ) throws(ProbeError) -> Uprobe {
    try registerUprobe(UprobeRequest(file, offset: offset, ret: ret))
  }

  /// Takes a probe away; what it hit last goes on undisturbed.
  public func unregister(_ probe: Kprobe) {
    kprobes.unregister(probe)
    registrations.removeAll { $0 === probe }
  }
  /// Takes a return probe away; calls under way return as they should, without its handler.
  public func unregister(_ probe: Kretprobe) {
    kprobes.unregister(probe)
    registrations.removeAll { $0 === probe }
  }
  /// Takes a program's probe away.
  public func unregister(_ probe: Uprobe) {
    uprobes.unregister(probe)
    registrations.removeAll { $0 === probe }
  }

  /// Has the handlers run, or not; the text is restored where no probe of an address is enabled.
  ///
  /// - Throws: `EINVAL` for a probe that is not registered.
  public func setEnabled(_ probe: Kprobe, _ enabled: Bool) throws(ProbeError) {
    try kprobes.setEnabled(probe, enabled)
  }
  /// Has the handlers run, or not.
  ///
  /// - Throws: `EINVAL` for a probe that is not registered.
  public func setEnabled(_ probe: Kretprobe, _ enabled: Bool) throws(ProbeError) {
    try kprobes.setEnabled(probe.kprobe, enabled)
  }
  /// Has the handlers run, or not.
  ///
  /// - Throws: `EINVAL` for a probe that is not registered.
  public func setEnabled(_ probe: Uprobe, _ enabled: Bool) throws(ProbeError) {
    try uprobes.setEnabled(probe, enabled)
  }

  /// Whether kernel probes are armed at all: `false` takes every break out of the text, and what is
  /// registered meanwhile waits (`/sys/kernel/debug/kprobes/enabled`).
  public var kprobesAreOn: Bool {
    get { kprobes.isOn }
    set { kprobes.setOn(newValue) }
  }

  /// Whether kernel probes become jumps once they have been breaks for 20 ms, where the instruction set
  /// and their place allow it (`sysctl debug.kprobes-optimization`).
  ///
  /// What handlers of a jump return is ignored, as in Linux, and so is what they do to pc and sp; a
  /// probe with a post handler stays a break.
  ///
  /// Deviation: Linux has it on from the beginning.
  public var optimisesKprobes: Bool {
    get { kprobes.isOptimising }
    set { kprobes.setOptimising(newValue) }
  }

  /// Has those that wait for their 20 ms become jumps at the next hit of any kernel probe.
  ///
  /// - SeeAlso: Linux, `kernel/kprobes.c`, `wait_for_kprobe_optimizer`
  public func hurryKprobeOptimiser() { kprobes.hurryOptimiser() }

  /// Asks a probe's filter again about every process that maps its file.
  ///
  /// With `adding` breaks go where it now says yes; without, they leave where no probe's filter says
  /// so any more.
  ///
  /// - Throws: `ENOENT` for a probe that is not registered; what the registration throws.
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_apply`
  public func apply(_ probe: Uprobe, adding: Bool) throws(ProbeError) {
    try uprobes.apply(probe, adding: adding)
  }

  /// What a probe at a place of the kernel would be told, without one: the class of its instruction,
  /// or why none may be there.
  public func checkKprobe(_ place: KernelPlace) throws(ProbeError) -> ProbedInsn {
    try kprobes.check(place).insn
  }

  /// What a probe at an offset of a file would be told.
  public func checkUprobe(_ file: ProbedFile, offset: UInt64) throws(ProbeError) -> ProbedInsn {
    try uprobes.check(file, offset)
  }

  // MARK: Pieces for both kinds

  /// The frame at `regsVA` in guest RAM.
  private func frame(_ regsVA: UInt64) -> UnsafeMutableRawPointer? {
    guard let pa = kernel.kernelAddress(regsVA, kernel.frameSize) else { return nil }
    kernel.ram.willWrite(pa)
    kernel.ram.willWrite(pa &+ kernel.frameSize &- 1)
    return kernel.ram.pointer(pa)
  }

  /// What handlers see of a hit: the same object for all hits whose handlers do not keep it.
  private func context(
    _ regs: UInt64, _ frame: UnsafeMutableRawPointer, isUser: Bool
  ) -> ProbeContext {
    if isKnownUniquelyReferenced(&spare), let spare {
      spare.begin(regs, frame, isUser: isUser)
      return spare
    }
    let made = ProbeContext(
      kernel: kernel, isa: isa, regsVA: regs, frame: frame, isUser: isUser,
      simulations: simulations)
    spare = made
    return made
  }
}

extension ProbeSubsystem: TrapHook {
  /// Whose trap it is is decided by its mode and pc.
  public func trap(_ kernel: Kernel, _ trap: borrowing KernelTrap) -> GateReply? {
    let cause = trap.cause
    let isUser = isa.isUser(UnsafeRawPointer(trap.frame))
    if isUser {
      guard trap.address == nil else { return nil }
      let isBreak = isa.isBreak(cause: cause)
      guard isBreak || isa.stepCause(.user) == cause, let running = kernel.running else {
        return nil
      }
      let task = running.task
      let utask = running.taskState as? UprobeTask
      let context = context(trap.regs, trap.frame, isUser: true)
      defer { context.end() }
      guard isBreak else { return utask.flatMap { uprobes.stepped(task, $0, context) } }
      guard let space = running.space, let own = running.spaceState as? UprobeSpace else {
        return nil
      }
      let reply = uprobes.trapped(task, utask ?? UprobeTask.of(task), space, own, context)
      if reply != nil { breaksTaken &+= 1 }
      return reply
    }
    let context = context(trap.regs, trap.frame, isUser: false)
    defer { context.end() }
    if let address = trap.address { return kprobes.faulted(context, address) }
    if isa.isBreak(cause: cause) { return kprobes.trapped(context) }
    if isa.stepCause(.kernel) == cause { return kprobes.stepped(context) }
    return kprobes.faulted(context, 0)
  }

  /// A kernel probe that is a jump was hit.
  public func jumpedProbe(_ kernel: Kernel, address: UInt64, regs: UInt64) {
    guard let frame = frame(regs) else { return }
    let context = context(regs, frame, isUser: false)
    defer { context.end() }
    kprobes.jumped(address, context)
  }

  /// A signal of a slot's instruction is one of the probed instruction.
  public func trapRaisesSignal(_ kernel: Kernel, _ task: Task, regs: UInt64) {
    if let frame = frame(regs) { uprobes.abort(task, frame) }
  }

  /// Signals wait while a slot runs.
  public func holdsSignals(_ kernel: Kernel, _ task: Task, regs: UInt64) -> Bool {
    guard let frame = frame(regs) else { return false }
    return uprobes.holdsSignals(task, frame)
  }
}

extension ProbeSubsystem: ProcessObserver {
  /// A new program is probed as its files are.
  public func executed(_ task: Task) { uprobes.executed(task) }
  /// A child inherits breaks, and awaited returns.
  public func cloned(_ parent: Task, _ child: Task) { uprobes.cloned(parent, child) }
  /// What a task awaited will not come.
  public func releasing(_ task: Task) { uprobes.releasing(task) }
  /// What a dead task's kernel functions awaited will not come.
  public func freed(stack va: UInt64) { kprobes.freed(stack: va) }
  /// A new mapping is probed as its file is.
  public func mapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64) {
    uprobes.mapped(space, start, end)
  }
  /// Breaks may be gone.
  public func unmapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64) {
    uprobes.unmapped(space)
  }
}
