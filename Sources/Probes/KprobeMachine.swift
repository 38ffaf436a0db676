import Engine
import GuestKernel

/// What the hart's kprobes are doing.
enum KprobeState {
  /// Nothing.
  case idle
  /// One probe is being served.
  case serving(KprobeLevel)
  /// A second one was hit meanwhile; it is stepped without handlers.
  case nested(KprobeStep, under: KprobeLevel)
}

/// How far a probe has been served.
enum KprobeLevel {
  /// Its handlers run (`KPROBE_HIT_ACTIVE`, `KPROBE_HIT_SSDONE`).
  case active
  /// Its instruction runs in its slot (`KPROBE_HIT_SS`).
  case stepping(KprobeStep)
}

/// An instruction that runs in a slot.
struct KprobeStep {
  /// Kept by the table, or by ``KprobeMachine/retired``.
  fileprivate(set) unowned(unsafe) var point: KprobePoint
  fileprivate(set) var slot: UInt64
  fileprivate(set) var state: SlotState

  /// Where the break behind the copy is.
  var end: UInt64 { slot &+ point.length }
  /// The copy.
  var copy: SlotCopy { SlotCopy(point.copied, at: point.address, slot: slot, .kernel) }
}

/// Kernel probes: the table, the patching, and what happens at a hit.
///
/// Order of publication: slot, synchronise, table, break, synchronise; the guest executes the
/// synchronisation in the answer to the trap of the break, so before it enters the slot. Order of
/// removal: text, synchronise, then the slot once nothing runs in it. So probes may be registered,
/// taken away, enabled and disabled at any time, by handlers too, and those of the same address.
///
/// A third probe hit while a second one is stepped inside a first one is fatal, as in Linux: the
/// guest kernel dies with the address of the break.
///
/// - SeeAlso: Linux, `kernel/kprobes.c`; `arch/riscv/kernel/probes/kprobes.c`
final class KprobeMachine {
  let kernel: Kernel
  let isa: any ProbeISA
  let fetch: FetchSynchronisation
  private let stepCause: UInt64?
  var points: [UInt64: KprobePoint] = [:] {
    didSet { latest = nil }
  }
  /// The one of ``points`` that was hit last.
  @exclusivity(unchecked) private var latest: KprobePoint?
  @exclusivity(unchecked) private(set) var state = KprobeState.idle
  @exclusivity(unchecked) var slots: KprobeSlots
  /// Places that were taken off ``points`` while one was being served.
  @exclusivity(unchecked) private var retired: [KprobePoint] = []
  /// Code of probes that are jumps.
  @exclusivity(unchecked) var detourSlots: KprobeSlots
  /// Whether a copy that goes back by itself may still be under way: the next trap of a probe tells
  /// that it is not.
  @exclusivity(unchecked) var isAway = false
  /// Whether probes become jumps.
  @exclusivity(unchecked) var isOptimising = false
  /// When the first of them is to.
  @exclusivity(unchecked) var nextDue = UInt64.max
  /// Is told of all text that is written, in its order.
  var didPatch: ((UInt64, [UInt8]) -> Void)?
  /// Whether breaks are in the text at all (`/sys/kernel/debug/kprobes/enabled`).
  @exclusivity(unchecked) private(set) var isOn = true
  /// What ``LegacyPolicies/publishedFirst`` leaves for later.
  @exclusivity(unchecked) private var unpublished: [() -> Void] = []
  /// Calls whose return is awaited, the newest last, by task block.
  @exclusivity(unchecked) var calls: [UInt64: [KretprobeCall]] = [:]
  var kretprobes: [ObjectIdentifier: Kretprobe] = [:]
  @exclusivity(unchecked) private(set) var trampolineIsReady = false

  let blacklist: [(Range<UInt64>, String)]
  let blacklistedFunctions: Set<UInt64>
  let exceptionTable: Set<UInt64>

  init(kernel: Kernel, isa: any ProbeISA, fetch: FetchSynchronisation) {
    self.kernel = kernel
    self.isa = isa
    self.fetch = fetch
    stepCause = isa.stepCause(.kernel)
    slots = KprobeSlots(kernel, slotSize: isa.kprobeSlotSize)
    detourSlots = KprobeSlots(detoursOf: kernel, isa)
    blacklist = Self.blacklist(kernel)
    blacklistedFunctions = Self.blacklistedFunctions(kernel)
    exceptionTable = Self.exceptionTable(kernel)
  }

  // MARK: Registration

  func register(_ request: KprobeRequest) throws(ProbeError) -> Kprobe {
    let checked = try check(request.place)
    let probe = Kprobe(
      request, address: checked.address, symbol: checked.symbol, offset: checked.offset)
    if let known = points[checked.address] {
      if probe.post != nil || probe.fault != nil {
        withdraw(known)
        try unboost(known)
      }
      known.probes.insert(probe, at: 0)
      updateArming(known)
      offer(known)
      return probe
    }
    withdraw(around: checked.address)
    checked.probes = [probe]
    if legacy.contains(.publishedFirst) {
      updateArming(checked)
      unpublished.append { [unowned self] in
        try? prepare(checked)
        points[checked.address] = checked
      }
      return probe
    }
    try prepare(checked)
    points[checked.address] = checked
    updateArming(checked)
    offer(checked)
    return probe
  }

  func unregister(_ probe: Kprobe) {
    guard probe.isRegistered, let point = points[probe.address] else { return }
    probe.isRegistered = false
    point.probes.removeAll { $0 === probe }
    updateArming(point)
    guard point.probes.isEmpty else { return }
    points[point.address] = nil
    if isServing { retired.append(point) }
    if let slot = point.slot { release(slot) }
    releaseDetour(point)
    offer(around: point.address)
  }

  private func release(_ slot: UInt64) {
    slots.release(slot, inUse: (isServing || isAway) && !legacy.contains(.slotFreedAtOnce))
  }

  /// Has all breaks written or taken away; what is registered meanwhile is armed with the others.
  ///
  /// - SeeAlso: Linux, `kernel/kprobes.c`, `arm_all_kprobes`, `disarm_all_kprobes`
  func setOn(_ on: Bool) {
    isOn = on
    for point in points.values { updateArming(point) }
    if on { for point in points.values { offer(point) } }
  }

  func setEnabled(_ probe: Kprobe, _ enabled: Bool) throws(ProbeError) {
    guard probe.isRegistered, let point = points[probe.address] else {
      throw ProbeError(.EINVAL, "the probe is not registered")
    }
    probe.isEnabled = enabled
    if enabled { withdraw(around: point.address) }
    updateArming(point)
    offer(point)
    if !point.isArmed { offer(around: point.address) }
  }

  /// What is done wrongly on purpose.
  var legacy: LegacyPolicies { fetch.legacy }

  var isServing: Bool {
    if case .idle = state { false } else { true }
  }

  /// Copies the instruction into a slot, or makes it ready to be simulated.
  private func prepare(_ point: KprobePoint) throws(ProbeError) {
    var verdict = point.insn.verdict
    switch verdict {
    case .refuse where legacy.contains(.anyInstruction): verdict = .outOfLine
    case .simulate where legacy.contains(.everythingInSlot): verdict = .outOfLine
    default: break
    }
    switch verdict {
    case .refuse(let reason, let why): throw ProbeError(why.errno(.kernel), reason)
    case .simulate:
      guard let simulation = isa.simulation(of: point.insn.bytes, at: point.address, .kernel)
      else {
        throw ProbeError(.EINVAL, "the instruction can't be simulated")
      }
      point.simulation = simulation
    case .outOfLine:
      guard let slot = slots.allocate() else {
        throw ProbeError(.ENOMEM, "no slot is free")
      }
      if legacy.contains(.writableSlots) { slots.makeWritable(kernel) }
      var boosted: [UInt8]?
      if legacy.isEmpty, !point.needsTrap {
        boosted = isa.boostedImage(point.insn, at: point.address, slot: slot)
      }
      guard
        let image = boosted ?? slotImage(point, slot)
      else {
        slots.release(slot, inUse: false)
        throw ProbeError(.EINVAL, "what the instruction refers to is too far from its slot")
      }
      point.isBoosted = boosted != nil
      guard patch(slot, image) else {
        slots.release(slot, inUse: false)
        throw ProbeError(.ENOMEM, "the slot can't be written")
      }
      point.slot = slot
    }
  }

  private func slotImage(_ point: KprobePoint, _ slot: UInt64) -> [UInt8]? {
    guard legacy.contains(.copiesAreVerbatim) else {
      return isa.slotImage(point.insn, at: point.address, slot: slot)
    }
    return point.insn.bytes + isa.breakpoint(.kprobeStep, over: isa.maxInsnLength)
  }

  /// Has the copy end by a trap from now on: in another slot, for it may be running in this one.
  ///
  /// Deviation: Linux leaves the jump back in the slot, and the post handler of a probe that joins a
  /// boosted one never runs.
  private func unboost(_ point: KprobePoint) throws(ProbeError) {
    guard point.isBoosted, let old = point.slot else { return }
    guard let slot = slots.allocate() else { throw ProbeError(.ENOMEM, "no slot is free") }
    guard let image = isa.slotImage(point.insn, at: point.address, slot: slot), patch(slot, image)
    else {
      slots.release(slot, inUse: false)
      throw ProbeError(.ENOMEM, "the slot can't be written")
    }
    point.slot = slot
    point.isBoosted = false
    release(old)
  }

  /// Writes kernel text: through RAM, for the guest's own mapping of it is read-only.
  func patch(_ va: UInt64, _ bytes: [UInt8]) -> Bool {
    guard let pa = kernel.kernelAddress(va, UInt64(bytes.count)),
      kernel.ram.write(pa, bytes)
    else { return false }
    fetch.kernelText()
    didPatch?(va, bytes)
    return true
  }

  private func updateArming(_ point: KprobePoint) {
    let wanted = isOn && point.probes.contains(where: \.isEnabled)
    guard wanted != point.isArmed else { return }
    if !wanted { withdraw(point) }
    point.isArmed = wanted
    let length = legacy.contains(.shortBreaks) ? 2 : point.insn.length
    _ = patch(
      point.address, wanted ? isa.breakpoint(.kprobe, over: length) : point.insn.bytes)
  }

  // MARK: Hits

  /// What a break in the kernel's text or in a slot turned out to be.
  private enum Event {
    case hit(KprobePoint)
    case stepEnd
    case trampoline
    /// The break is not there any more: a probe was taken away after the fetch.
    case stale
    case foreign
  }

  private func classify(_ pc: UInt64) -> Event {
    if stepCause == nil {
      switch state {
      case .serving(.stepping(let step)) where step.end == pc: return .stepEnd
      case .nested(let step, _) where step.end == pc: return .stepEnd
      default: break
      }
    }
    if let latest, latest.address == pc {
      if latest.isArmed { return .hit(latest) }
    } else if let point = points[pc] {
      latest = point
      if point.isArmed { return .hit(point) }
    }
    if pc == slots.base, trampolineIsReady { return .trampoline }
    if let bytes = kernel.readKernel(pc, isa.maxInsnLength), !isa.isBreakpoint(bytes) {
      return .stale
    }
    return .foreign
  }

  /// Serves a single step of kernel mode.
  ///
  /// - Returns: `nil` where it is none of ours.
  func stepped(_ context: ProbeContext) -> GateReply? {
    switch state {
    case .serving(.stepping), .nested: return trapped(context, .stepEnd)
    case .idle, .serving(.active): return nil
    }
  }

  /// Serves a break of kernel mode.
  ///
  /// - Returns: `nil` where it is none of ours.
  func trapped(_ context: ProbeContext) -> GateReply? {
    trapped(context, classify(context.pc &- isa.breakTrapOffset))
  }

  private func trapped(_ context: ProbeContext, _ event: Event) -> GateReply? {
    let pc = context.pc &- isa.breakTrapOffset
    defer { publish() }
    switch (state, event) {
    case (.idle, .hit(let point)):
      context.pc = pc
      comeBack()
      optimiseDue()
      guard serve(point, context) else { return nil }
    case (.serving, .hit(let point)) where legacy.contains(.noReentryGuard):
      context.pc = pc
      guard serve(point, context) else { return nil }
    case (.serving(let level), .hit(let point)):
      // Deviation: Linux on riscv gives up where the first probe is stepping; other ISAs go on.
      context.pc = pc
      // Disabled ones too (`kprobes_inc_nmissed_count`).
      for probe in point.probes { probe.nmissed &+= 1 }
      switch getPast(point, context) {
      case .done: break
      case .leaves: isAway = true
      case .steps(let step): state = .nested(step, under: level)
      case .traps: return nil
      }
    case (.nested, .hit(let point)):
      kernel.log("kprobe: unrecoverable reentry at \(point.symbol)+\(point.offset)")
      return nil
    case (.serving(.stepping(let step)), .stepEnd):
      if legacy.contains(.programAfterStep) { post(step.point, context) }
      guard finish(step, context) else { break }
      state = .serving(.active)
      if !legacy.contains(.programAfterStep) { post(step.point, context) }
      becomeIdle()
    case (.nested(let step, let under), .stepEnd):
      if finish(step, context) { state = .serving(under) }
    case (.idle, .stepEnd), (.serving(.active), .stepEnd):
      preconditionFailure("a step ends only where one was begun")
    case (let before, .trampoline):
      state = .serving(.active)
      defer {
        state = before
        if !isServing { reclaim() }
      }
      if !returned(context) { return nil }
    case (_, .stale):
      // Removed since it was fetched: once fetch is synchronised, what is there now runs.
      context.pc = pc
      kernel.instructionFlushNeeded = true
    case (_, .foreign):
      guard legacy.contains(.unclaimedSkipsTwo) else { return nil }
      context.pc = pc &+ 2
    }
    return GateReply()
  }

  private func publish() {
    guard !unpublished.isEmpty else { return }
    let work = unpublished
    unpublished = []
    for item in work { item() }
  }

  /// - Returns: `false` where the instruction traps.
  private func serve(_ point: KprobePoint, _ context: ProbeContext) -> Bool {
    state = .serving(.active)
    var action = pre(point, context)
    if legacy.contains(.preResultIgnored) { action = .continue }
    switch action {
    case .continue, .remove:
      switch getPast(point, context) {
      case .done: post(point, context)
      case .leaves:
        state = .idle
        isAway = true
        return true
      case .steps(let step):
        state = .serving(.stepping(step))
        return true
      case .traps:
        becomeIdle()
        return false
      }
    case .skip: context.pc = point.next
    case .redirect(let target): context.pc = target
    }
    becomeIdle()
    return true
  }

  /// Runs the handlers, newest first, up to the first that wants something else than to go on.
  private func pre(_ point: KprobePoint, _ context: ProbeContext) -> ProbeAction {
    context.function = point.address
    for probe in point.probes where probe.isEnabled && probe.isRegistered {
      probe.hits &+= 1
      guard let action = probe.pre?(context), action != .continue, action != .remove else {
        continue
      }
      return action
    }
    return .continue
  }

  private func post(_ point: KprobePoint, _ context: ProbeContext) {
    context.function = point.address
    for probe in point.probes where probe.isEnabled && probe.isRegistered { probe.post?(context) }
  }

  /// What becomes of a probed instruction.
  private enum Passage {
    /// It was simulated.
    case done
    /// It runs in its slot now.
    case steps(KprobeStep)
    /// It runs elsewhere, and goes on from there without another trap.
    case leaves
    /// It traps, as it does without a probe; the pc is its own.
    case traps
  }

  /// Simulates the instruction, or sends the hart to its slot.
  private func getPast(_ point: KprobePoint, _ context: ProbeContext) -> Passage {
    if let detour = point.detour, detour.isTaken {
      context.pc = detour.copies
      return .leaves
    }
    if let simulation = point.simulation {
      context.pc = point.address
      return simulation.run(context.frame, context) ? .done : .traps
    }
    guard let slot = point.slot else { return .traps }
    if point.isBoosted {
      context.pc = slot
      return .leaves
    }
    var step = KprobeStep(point: point, slot: slot, state: SlotState())
    step.state = isa.enterSlot(context.frame, step.copy)
    if legacy.contains(.interruptsInSlot) { isa.unmaskInterrupts(context.frame, step.state) }
    return .steps(step)
  }

  /// The instruction ran: what the frame holds becomes what it is without the probe.
  ///
  /// - Returns: `false` where it goes on in its slot.
  private func finish(_ step: KprobeStep, _ context: ProbeContext) -> Bool {
    isa.leaveSlot(context.frame, step.copy, step.state, context) != .unfinished
  }

  private func becomeIdle() {
    state = .idle
    reclaim()
  }

  /// What was kept for what is being served may go, once nothing is.
  private func reclaim() {
    if !isServing, !retired.isEmpty { retired = [] }
    guard !isAway else { return }
    slots.reclaim()
    detourSlots.reclaim()
  }

  /// What went elsewhere last has come back.
  func comeBack() {
    guard isAway else { return }
    isAway = false
    reclaim()
  }

  /// Has the handlers run whose results do not count.
  func serveJump(_ point: KprobePoint, _ context: ProbeContext) {
    state = .serving(.active)
    _ = pre(point, context)
    state = .idle
  }

  // MARK: Faults

  /// Serves a fault of kernel mode: one in a slot is made one of the probed instruction.
  ///
  /// - Returns: an answer where the fault is dealt with; `nil` where it is the kernel's to see.
  func faulted(_ context: ProbeContext, _ address: UInt64) -> GateReply? {
    if legacy.contains(.faultsInSlot) { return nil }
    // Whether one is known to be away does not count: probes on the way of the fault were hit since.
    if slots.holds(context.pc) || detourSlots.holds(context.pc), let at = origin(of: context.pc) {
      context.pc = at
      return nil
    }
    let step: KprobeStep
    switch state {
    case .serving(.stepping(let first)) where context.pc == first.slot:
      step = first
      state = .idle
    case .nested(let second, let under) where context.pc == second.slot:
      step = second
      state = .serving(under)
    default: return nil
    }
    isa.abandonSlot(context.frame, step.copy, step.state)
    context.pc = step.point.address
    context.function = step.point.address
    var isHandled = false
    if case .idle = state {
      for probe in step.point.probes where probe.isEnabled {
        if let fault = probe.fault, fault(context, address) {
          isHandled = true
          break
        }
      }
      reclaim()
    }
    return isHandled ? GateReply() : nil
  }

  /// Where the instruction is whose copy, which no trap ends, is at an address.
  ///
  /// Deviation: in Linux what happens to such a copy is reported at its own address.
  private func origin(of pc: UInt64) -> UInt64? {
    for point in points.values {
      if point.isBoosted, point.slot == pc { return point.address }
      if let detour = point.detour, pc >= detour.copies,
        pc &- detour.copies < UInt64(detour.original.count)
      {
        return point.address &+ (pc &- detour.copies)
      }
    }
    return nil
  }

  // MARK: Return probes

  /// Where a probed function returns to.
  var trampoline: UInt64 { slots.base }

  /// Writes the break that return probes come back through.
  func prepareTrampoline() throws(ProbeError) {
    guard !trampolineIsReady else { return }
    guard slots.base != 0, patch(slots.base, isa.breakpoint(.kretprobe, over: isa.maxInsnLength))
    else { throw ProbeError(.ENOMEM, "the image has no slots") }
    trampolineIsReady = true
  }
}

// MARK: Snapshots

extension KprobeMachine {
  /// Saves or restores the table, what is being served, and the calls that are awaited.
  func archive(_ a: Archive) {
    if !unpublished.isEmpty { a.fail("a kprobe is published later on purpose") }
    a.refs("points", &points)
    a("state", &state)
    a("slots", &slots)
    a("detourSlots", &detourSlots)
    a("isAway", &isAway)
    a("isOptimising", &isOptimising)
    a("nextDue", &nextDue)
    a("isOn", &isOn)
    a.parts("calls") {
      var stacks = a.isReading ? [] : calls.keys.sorted()
      a("", &stacks)
      if a.isReading { calls = [:] }
      for stack in stacks {
        var list = calls[stack] ?? []
        a.refs("", &list)
        if a.isReading { calls[stack] = list }
      }
    }
    a("trampolineIsReady", &trampolineIsReady)
    a.transient([
      "kernel", "isa", "fetch", "stepCause", "latest", "unpublished", "kretprobes", "retired",
      "blacklist", "blacklistedFunctions", "exceptionTable", "didPatch",
    ])
    guard a.isReading else { return }
    latest = nil
    retired = state.steps.map(\.point)
    a.afterwards { [self] in
      for point in points.values where point.insn.verdict == .simulate {
        point.simulation = isa.simulation(of: point.insn.bytes, at: point.address, .kernel)
        if point.simulation == nil { a.fail("a kprobe on no instruction that is simulated") }
      }
    }
  }

  /// Whether it is not as it was made.
  var isInUse: Bool {
    isServing || !points.isEmpty || !calls.isEmpty || trampolineIsReady || !isOn
      || slots.isTouched || detourSlots.isTouched || isOptimising
  }

  /// No probe is registered and none is being served.
  func forgetAll() {
    points = [:]
    state = .idle
    slots = KprobeSlots(kernel, slotSize: isa.kprobeSlotSize)
    detourSlots = KprobeSlots(detoursOf: kernel, isa)
    (isAway, isOptimising, nextDue) = (false, false, .max)
    unpublished = []
    calls = [:]
    kretprobes = [:]
    trampolineIsReady = false
    isOn = true
  }
}

extension KprobeState {
  /// The instructions that run in slots.
  fileprivate var steps: [KprobeStep] {
    switch self {
    case .idle, .serving(.active): []
    case .serving(.stepping(let step)), .nested(let step, under: .active): [step]
    case .nested(let step, under: .stepping(let below)): [step, below]
    }
  }
}

extension KprobeState: Archived {
  static func placeholder(_ a: Archive) -> KprobeState { .idle }
  mutating func archive(_ a: Archive) {
    var kind: UInt8 = 0
    var outer = KprobeStep.placeholder(a)
    var inner = outer
    switch self {
    case .idle: break
    case .serving(.active): kind = 1
    case .serving(.stepping(let step)): (kind, outer) = (2, step)
    case .nested(let step, under: .active): (kind, inner) = (3, step)
    case .nested(let step, under: .stepping(let below)): (kind, inner, outer) = (4, step, below)
    }
    kind = a.choice(kind, below: 5)
    if kind == 2 || kind == 4 { a("", &outer) }
    if kind >= 3 { a("", &inner) }
    switch kind {
    case 0: self = .idle
    case 1: self = .serving(.active)
    case 2: self = .serving(.stepping(outer))
    case 3: self = .nested(inner, under: .active)
    default: self = .nested(inner, under: .stepping(outer))
    }
  }
}

extension KprobeStep: Archived {
  static func placeholder(_ a: Archive) -> KprobeStep {
    KprobeStep(point: a.placeholder(KprobePoint.self), slot: 0, state: SlotState())
  }
  mutating func archive(_ a: Archive) {
    var point = point
    a.ref("point", &point)
    self.point = point
    a("slot", &slot)
    a("state", &state)
  }
}
