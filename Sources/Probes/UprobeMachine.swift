import Engine
import GuestKernel

/// Probes of programs: what happens when a program traps.
///
/// - SeeAlso: Linux, `kernel/events/uprobes.c`
final class UprobeMachine {
  /// Most calls of a task whose return is awaited (`MAX_URETPROBE_DEPTH`).
  static let maxDepth = 64
  /// Addresses of one place for which simulations are kept ready.
  static let maxSimulations = 64

  let kernel: Kernel
  let isa: any ProbeISA
  let fetch: FetchSynchronisation
  private let breakOffset: UInt64
  private let stepCause: UInt64?
  var points: [UprobeKey: UprobePoint] = [:]
  /// Places of ``points`` that were hit lately, by their offset: most hits find theirs here.
  private let recent: UnsafeMutablePointer<UprobePoint?>
  private static let recentCount = 1024
  /// The probed places of each file.
  var files: [ObjectIdentifier: UprobePoints] = [:]
  /// Slots of an `[uprobes]` page, the trampoline's included; a test may want fewer.
  var slotCount: Int
  /// What is done wrongly on purpose.
  var legacy: LegacyPolicies { fetch.legacy }

  init(kernel: Kernel, isa: any ProbeISA, fetch: FetchSynchronisation) {
    self.kernel = kernel
    self.isa = isa
    self.fetch = fetch
    slotCount = 4096 / isa.uprobeSlotSize
    breakOffset = isa.breakTrapOffset
    stepCause = isa.stepCause(.user)
    recent = .allocate(capacity: Self.recentCount)
    recent.initialize(repeating: nil, count: Self.recentCount)
  }

  deinit {
    recent.deinitialize(count: Self.recentCount)
    recent.deallocate()
  }

  // MARK: The table

  private func recentIndex(_ offset: UInt64) -> Int {
    Int(truncatingIfNeeded: offset >> 1) & (Self.recentCount - 1)
  }

  /// The probed place of a key.
  private func point(_ key: UprobeKey) -> UprobePoint? {
    let index = recentIndex(key.offset)
    if let known = recent[index], known.offset == key.offset,
      ObjectIdentifier(known.inode) == key.inode
    {
      return known
    }
    guard let found = points[key] else { return nil }
    recent[index] = found
    return found
  }

  /// Takes a place off the table.
  func forget(_ key: UprobeKey) {
    let index = recentIndex(key.offset)
    if recent[index]?.offset == key.offset { recent[index] = nil }
    points[key] = nil
  }

  // MARK: Traps

  private enum Event {
    case hit(UprobePoint)
    case stepEnd
    case trampoline
    /// A break is there, and nobody's probe.
    case foreign
    /// No break is there any more.
    case stale
  }

  private func classify(
    _ pc: UInt64, _ state: UprobeState, _ space: AddressSpace, _ own: UprobeSpace
  ) -> Event {
    if stepCause == nil, case .stepping(let step) = state, step.end == pc {
      if legacy.contains(.oneSlotEndPerProbe), step.point.knownEnd != pc { return .foreign }
      return .stepEnd
    }
    if let area = own.area, area.base == pc { return .trampoline }
    // What was never analysed was never written: then the break is the program's own.
    if let place = space.privateFile(at: pc), let point = point(UprobeKey(place)),
      point.length != 0
    {
      return .hit(point)
    }
    if own.isDoubtful { recompute(space, own) }
    guard let bytes = try? space.readForced(pc, Int(isa.insnAlignment)) else { return .stale }
    if isa.isBreakpoint(bytes) { return .foreign }
    guard let whole = try? space.readForced(pc, isa.maxInsnLength) else { return .stale }
    return isa.isBreakpoint(whole) ? .foreign : .stale
  }

  /// Serves a break of user mode.
  ///
  /// - Returns: `nil` where no probe has to do with it.
  func trapped(
    _ task: Task, _ utask: UprobeTask, _ space: AddressSpace, _ own: UprobeSpace,
    _ context: ProbeContext
  ) -> GateReply? {
    if legacy.contains(.probesOfOneProcess), task.process !== kernel.firstProcess { return nil }
    let mayBeOurs = own.hasBreaks
    guard mayBeOurs || !utask.calls.isEmpty || own.area != nil else { return nil }
    if case .waiting(let point, let va) = utask.state {
      // The call of the gate that found no slot, made again: the pc is the instruction's already.
      utask.state = .running
      guard va == context.pc, !task.hasFatalSignal else { return GateReply() }
      return getPast(point, va, task, utask, space, own, context)
    }
    let pc = context.pc &- breakOffset
    switch (utask.state, classify(pc, utask.state, space, own)) {
    case (.waiting, _): preconditionFailure("it does not wait any more")
    case (.stepping(let step), .stepEnd):
      return leave(step, task, utask, context)
    case (.stepping(let step), .hit), (.stepping(let step), .trampoline),
      (.stepping(let step), .foreign), (.stepping(let step), .stale):
      // A handler of a signal can't run meanwhile, so the program left its slot by other means.
      if let copy = step.copy { isa.abandonSlot(context.frame, copy, step.state) }
      end(step, task, utask)
      return trapped(task, utask, space, own, context)
    case (.running, .hit(let point)):
      context.pc = pc
      return serve(point, pc, task, utask, space, own, context)
    case (.running, .trampoline):
      return returned(task, utask, context)
    case (.running, .stepEnd):
      preconditionFailure("a step ends only where one was begun")
    case (.running, .stale):
      if legacy.contains(.tableDecidesAlone) { return nil }
      context.pc = pc
      space.instructionFlushNeeded = true
      return GateReply()
    case (.running, .foreign):
      // As in Linux, the signal says less where the memory has, or a moment ago had, probes.
      guard mayBeOurs else { return nil }
      kernel.force(.kernel(Signal.SIGTRAP), task)
      return GateReply(value: 1)
    }
  }

  /// Serves a single step of user mode: any one ends what runs in a slot.
  ///
  /// - Returns: `nil` where no probe has to do with it.
  func stepped(_ task: Task, _ utask: UprobeTask, _ context: ProbeContext) -> GateReply? {
    guard case .stepping(let step) = utask.state else { return nil }
    if legacy.contains(.oneSlotEndPerProbe), step.point.knownEnd != step.end { return nil }
    return leave(step, task, utask, context)
  }

  /// The trap came that ends a slot.
  ///
  /// - Returns: `nil` where it is the program's too: it was single-stepping.
  private func leave(
    _ step: UprobeStep, _ task: Task, _ utask: UprobeTask, _ context: ProbeContext
  ) -> GateReply? {
    let exit = step.copy.map { leaveSlot($0, step, context) }
    if exit == .unfinished { return GateReply() }
    end(step, task, utask)
    return exit == .stepped ? nil : GateReply()
  }

  /// An instruction that did not run was done: who single-steps is told of it.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `arch_uprobe_skip_sstep`
  private func announceStep(_ task: Task, _ context: ProbeContext) {
    guard let stepCause, isa.isSingleStepped(UnsafeRawPointer(context.frame)) else { return }
    let signal = kernel.classifyTrap(stepCause, nil)
    kernel.force(
      SignalInfo(signal.signal, code: signal.code, .fault(address: context.pc)), task)
  }

  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `handle_swbp`, `handler_chain`
  private func serve(
    _ point: UprobePoint, _ va: UInt64, _ task: Task, _ utask: UprobeTask,
    _ space: AddressSpace, _ own: UprobeSpace, _ context: ProbeContext
  ) -> GateReply {
    let length = point.length
    guard length != 0 else { return GateReply() }
    let legacy = legacy
    context.function = va
    var kept: [ObjectIdentifier: AnyObject] = [:]
    var action = ProbeAction.continue
    var isUnanimous = true
    var wantsReturn = false
    for consumer in point.consumers where consumer.isEnabled && consumer.isRegistered {
      if consumer.ret != nil { wantsReturn = true }
      if consumer.ret == nil || consumer.entry != nil {
        if consumer.ret == nil { consumer.hits &+= 1 }
        context.data = nil
        let wish = consumer.entry?(context) ?? .continue
        if let data = context.data { kept[ObjectIdentifier(consumer)] = data }
        switch wish {
        case .remove: continue
        case .continue: break
        case let other: action = other
        }
      }
      isUnanimous = false
    }
    if isUnanimous {
      if !point.isWanted(in: space) { removeUnwanted(point, in: space) }
    } else if wantsReturn {
      expectReturn(point, va, task, utask, context, kept)
    }
    switch action {
    case .skip:
      context.pc = va &+ length
      return GateReply()
    case .redirect(let target):
      context.pc = target
      return GateReply()
    case .continue, .remove: break
    }
    // A handler that changed the pc has the instruction skipped.
    if context.pc != va { return GateReply() }
    if legacy.contains(.skipsEntryInsns) {
      context.pc = va &+ length
      return GateReply()
    }
    return getPast(point, va, task, utask, space, own, context)
  }

  /// Simulates the instruction, or sends the task to a slot.
  private func getPast(
    _ point: UprobePoint, _ va: UInt64, _ task: Task, _ utask: UprobeTask,
    _ space: AddressSpace, _ own: UprobeSpace, _ context: ProbeContext
  ) -> GateReply {
    utask.state = .running
    guard let insn = point.insn, let copied = point.copied else { return GateReply() }
    if point.isSimulated {
      context.pc = va
      if point.simulation(at: va, isa)?.run(context.frame, context) ?? false {
        announceStep(task, context)
        return GateReply()
      }
      // It would trap: in its slot it does, and the trap becomes the instruction's own.
    }
    guard let area = own.area ?? area(of: space) else { return GateReply() }
    guard
      let (slot, written) =
        area.take(for: point, { slotImage(insn) }, kernel.ram)
    else {
      utask.state = .waiting(point, va: va)
      task.sleep(on: [area.queue], until: nil, state: .killable)
      return GateReply(action: .block)
    }
    if written { fetch.text(of: space) }
    var step = UprobeStep(
      point: point, va: va, area: area, slot: slot, length: point.length)
    step.state = isa.enterSlot(context.frame, SlotCopy(copied, at: va, slot: step.start, .user))
    utask.state = .stepping(step)
    point.knownEnd = step.end
    return GateReply()
  }

  /// The task is out of its slot.
  private func end(_ step: UprobeStep, _ task: Task, _ utask: UprobeTask) {
    utask.state = .running
    step.area.release(step.slot)
    kernel.recalculateSignals(task)
  }

  private func slotImage(_ insn: ProbedInsn) -> [UInt8] {
    guard legacy.contains(.copiesAreVerbatim) else { return isa.slotImage(insn) }
    let end = isa.breakpoint(.uprobeStep, over: isa.maxInsnLength)
    return insn.bytes + (isa.stepCause(.user) == nil ? end : [])
  }

  private func leaveSlot(
    _ copy: SlotCopy, _ step: UprobeStep, _ context: ProbeContext
  ) -> SlotExit {
    var state = step.state
    if legacy.contains(.stepsAreForgotten) { state.status = 0 }
    guard legacy.contains(.pushedAddressStays) else {
      return isa.leaveSlot(context.frame, copy, state, context)
    }
    return isa.leaveSlot(context.frame, copy, state, Unchanged())
  }

  /// Memory that says it was corrected.
  private final class Unchanged: ProbedMemory {
    func loadMemory(_ va: UInt64, _ size: Int) -> UInt64? { nil }
    func storeMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool { true }
    func correctMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool { true }
  }

  /// The task's `[uprobes]` page, made if need be; `nil` where there is no room for it.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `__create_xol_area`
  func area(of space: AddressSpace, at fixed: UInt64? = nil) -> UprobeArea? {
    let own = UprobeSpace.of(space)
    if let area = own.area { return area }
    let trampoline = isa.breakpoint(.uretprobe, over: isa.maxInsnLength)
    guard let pages = try? SpecialPages(trampoline, frames: kernel.frames) else { return nil }
    let hint = fixed ?? kernel.isa.userEnd &- 4096
    var prot = MM.PROT_EXEC
    var flags: VMAFlags = [.dontFork, .neverWritable]
    if legacy.contains(.slotsAreWritable) {
      prot |= MM.PROT_READ | MM.PROT_WRITE
      flags.remove(.neverWritable)
    }
    func insert(_ at: UInt64) -> UInt64? {
      try? space.insertSpecial(
        name: "[uprobes]", at: at, pages: pages, prot: prot, flags: flags)
    }
    guard let base = insert(hint) ?? (fixed == nil ? insert(0) : nil) else { return nil }
    let area = UprobeArea(base: base, pages: pages, slotSize: isa.uprobeSlotSize, slots: slotCount)
    own.area = area
    fetch.text(of: space)
    return area
  }

  // MARK: Signals

  /// A trap of user mode raises a signal: one of a slot is one of the probed instruction.
  ///
  /// Deviation: Linux leaves the slot's address in `si_addr` on riscv; here it is the instruction's.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_deny_signal`, `arch_uprobe_abort_xol`
  func abort(_ task: Task, _ frame: UnsafeMutableRawPointer) {
    guard let utask = task.probeState as? UprobeTask, case .stepping(let step) = utask.state,
      !legacy.contains(.slotsAreVisible)
    else { return }
    let offset = kernel.isa.ptRegs.pc
    let pc = frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    if (step.start..<step.end).contains(pc) {
      frame.storeBytes(of: step.va, toByteOffset: offset, as: UInt64.self)
    } else if pc == step.end {
      frame.storeBytes(of: step.va &+ step.length, toByteOffset: offset, as: UInt64.self)
    }
    if let copy = step.copy { isa.abandonSlot(frame, copy, step.state) }
    end(step, task, utask)
  }

  /// Whether signals wait for the end of the slot.
  ///
  /// They do not where the program has left it by a way of its own: by mapping something over it.
  func holdsSignals(_ task: Task, _ frame: UnsafeMutableRawPointer) -> Bool {
    guard let utask = task.probeState as? UprobeTask, case .stepping(let step) = utask.state,
      !legacy.contains(.slotsAreVisible)
    else { return false }
    let pc = frame.loadUnaligned(fromByteOffset: kernel.isa.ptRegs.pc, as: UInt64.self)
    guard task.hasFatalSignal || !(step.start...step.end).contains(pc) else { return true }
    abort(task, frame)
    return false
  }
}

// MARK: Snapshots

extension UprobeMachine {
  /// Saves or restores the probed places; what tasks and their memory have is theirs.
  func archive(_ a: Archive) {
    a.parts("files") {
      var lists = a.isReading ? [] : files.values.filter { !$0.isEmpty }
      lists.sort { Self.place(of: $0) < Self.place(of: $1) }
      a("", &lists)
      guard a.isReading else { return }
      forgetAll()
      a.afterwards { [self] in
        for list in lists {
          for point in list {
            files[ObjectIdentifier(point.inode)] = list
            points[UprobeKey(point.inode, point.offset)] = point
          }
        }
      }
    }
    a("slotCount", &slotCount)
    a.transient(["kernel", "isa", "fetch", "breakOffset", "stepCause", "points", "recent"])
  }

  /// The order of files: they have none of their own.
  private static func place(of list: UprobePoints) -> (UInt64, UInt64) {
    guard let inode = list.first(where: { _ in true })?.inode else { return (0, 0) }
    return (inode.fileSystem.device.encoded, inode.number)
  }

  /// No probe is registered.
  func forgetAll() {
    points = [:]
    files = [:]
    for index in 0..<Self.recentCount { recent[index] = nil }
  }
}
