import Engine

/// What switches tasks.
enum TaskCause {
  case jump, call, back
  /// An interrupt or exception through a task gate.
  case event

  /// The task before waits in the link of the new one.
  var nests: Bool { self == .call || self == .event }
}

/// Where a task-state segment of 32 or 16 bits keeps what.
///
/// - SeeAlso: Intel SDM volume 3, 'Task-State Segment (TSS)' and '16-Bit Task-State Segment (TSS)'.
private struct TaskLayout {
  let isNarrow: Bool

  /// Bytes of a register, and from one selector to the next.
  var size: UInt64 { isNarrow ? 2 : 4 }
  var leastLimit: UInt64 { isNarrow ? 0x2b : 0x67 }
  var pc: UInt64 { isNarrow ? 0xe : 0x20 }
  var flags: UInt64 { isNarrow ? 0x10 : 0x24 }
  func general(_ number: UInt8) -> UInt64 { (isNarrow ? 0x12 : 0x28) &+ UInt64(number) &* size }
  func selector(_ register: Int) -> UInt64 { (isNarrow ? 0x22 : 0x48) &+ UInt64(register) &* size }
  /// ES, CS, SS and DS, and in 32 bits FS and GS.
  var selectors: Range<Int> { 0..<(isNarrow ? 4 : 6) }
  var localTable: UInt64 { isNarrow ? 0x2a : 0x60 }
  static let root: UInt64 = 0x1c, debugTrap: UInt64 = 0x64
}

/// A task as it lies in memory.
private struct TaskState {
  var pc: UInt64 = 0
  var flags: UInt64 = 0
  var general: [UInt64] = []
  var selectors: [UInt64] = []
  var localTable: UInt64 = 0
  var root: UInt64 = 0
  var traps = false
}

/// Task switches, of protected mode without long mode.
///
/// - SeeAlso: Intel SDM volume 3, 'Task Switching' and 'Exception Conditions Checked During a Task
///   Switch'.
extension X64 {
  /// The task that a far jump or call names, of privilege enough for it; through a gate the gate's.
  func task(
    _ selector: UInt64, _ found: Descriptor, _ hart: Hart
  ) throws(Fault) -> UInt64 {
    let most = max(hart.x[SystemSlot.privilege], selector & 3)
    guard found.privilege >= most else { throw Fault(13, selector: selector) }
    guard found.type == 5 else { return selector }
    guard found.isPresent else { throw Fault(11, selector: selector) }
    return found.low >> 16 & 0xffff
  }

  /// Leaves the present task for that of a selector.
  ///
  /// Faults up to the point where the old task is saved are the old task's; others come in the new one,
  /// with ``Fault/isInNewTask``.
  ///
  /// Deviation: those do not save RF as set where an instruction has switched.
  ///
  /// - Parameters:
  ///   - selector: of the task's descriptor.
  ///   - cause: what switches.
  ///   - flags: what is saved as the old task's, but for NT.
  ///   - external: what is or'ed to error codes.
  ///   - code: an error code, for the new stack.
  ///   - hart: the hart.
  /// - Throws: the fault.
  func switchTask(
    to selector: UInt64, _ cause: TaskCause, flags: UInt64, external: UInt64 = 0,
    code: UInt64? = nil, _ hart: Hart
  ) throws(Fault) {
    let x = hart.x
    let wrong: UInt64 = cause == .back ? 10 : 13
    guard selector & 4 == 0 else { throw Fault(wrong, selector: selector, external: external) }
    let found = try descriptor(selector, orFault: wrong, external: external, hart)
    // Types 1 and 9 can be had, 3 and 11 are busy.
    guard !found.isSegment, found.type & 5 == 1, (found.type & 2 != 0) == (cause == .back) else {
      throw Fault(wrong, selector: selector, external: external)
    }
    guard found.isPresent else { throw Fault(11, selector: selector, external: external) }
    let layout = TaskLayout(isNarrow: found.type & 8 == 0)
    guard found.limit >= layout.leastLimit else {
      throw Fault(10, selector: selector, external: external)
    }
    let state = try implicitly(hart) { () throws(Fault) in
      let state = try readTask(found.base, layout, hart)
      try saveTask(cause == .back ? flags & ~RFlags.nested : flags, hart)
      if cause.nests { try store(found.base, 2, x[SystemSlot.taskSelector], hart) }
      if !cause.nests { try setBusy(false, x[SystemSlot.taskSelector], hart) }
      if cause != .back { try setBusy(true, selector, hart) }
      return state
    }
    enterTask(selector, found, state, layout, cause, hart)
    do throws(Fault) {
      try loadTaskSegments(state, layout, external, hart)
      if let code {
        var frame = StackFrame(x)
        frame.external = external
        try frame.push(code, layout.size, self, hart)
        frame.commit(x)
      }
    } catch {
      Self.updateMode(hart)
      throw Fault(
        vector: error.vector, code: error.code, address: error.address, isInNewTask: true)
    }
  }

  private func readTask(
    _ base: UInt64, _ layout: TaskLayout, _ hart: Hart
  ) throws(Fault) -> TaskState {
    var state = TaskState()
    func word(_ offset: UInt64, _ size: UInt64) throws(Fault) -> UInt64 {
      try load((base &+ offset) & 0xffff_ffff, size, hart)
    }
    state.pc = try word(layout.pc, layout.size)
    state.flags = try word(layout.flags, layout.size)
    for number in UInt8(0)..<8 {
      state.general.append(try word(layout.general(number), layout.size))
    }
    for register in layout.selectors {
      state.selectors.append(try word(layout.selector(register), 2))
    }
    state.localTable = try word(layout.localTable, 2)
    guard !layout.isNarrow else { return state }
    state.root = try word(TaskLayout.root, 4)
    state.traps = try word(TaskLayout.debugTrap, 2) & 1 == 1
    return state
  }

  private func saveTask(_ flags: UInt64, _ hart: Hart) throws(Fault) {
    let x = hart.x
    let layout = TaskLayout(isNarrow: x[SystemSlot.isNarrowTask] != 0)
    func put(_ offset: UInt64, _ size: UInt64, _ value: UInt64) throws(Fault) {
      let place = (x[SystemSlot.taskBase] &+ offset) & 0xffff_ffff
      try store(place, size, value & Self.low(size), hart)
    }
    try put(layout.pc, layout.size, Self.savedPC(x))
    try put(layout.flags, layout.size, flags)
    for number in UInt8(0)..<8 {
      try put(layout.general(number), layout.size, x[Registers.slot(number)])
    }
    for register in layout.selectors {
      try put(layout.selector(register), 2, x[SystemSlot.selectors + register])
    }
  }

  private func setBusy(_ isBusy: Bool, _ selector: UInt64, _ hart: Hart) throws(Fault) {
    guard selector & 0xfffc != 0 else { return }
    let at = hart.x[SystemSlot.gdtBase] &+ (selector & 0xfff8) &+ 5
    let rights = try load(at, 1, hart)
    try store(at, 1, isBusy ? rights | 2 : rights & ~2, hart)
  }

  /// Registers and selectors become the new task's; nothing fails.
  private func enterTask(
    _ selector: UInt64, _ found: Descriptor, _ state: TaskState, _ layout: TaskLayout,
    _ cause: TaskCause, _ hart: Hart
  ) {
    let x = hart.x
    // A step over the instruction is lost.
    if cause != .event, x[Slot.single] & Self.stepped != 0 { x[SystemSlot.noStep] = 1 }
    x[SystemSlot.taskSelector] = selector
    x[SystemSlot.taskBase] = found.base
    x[SystemSlot.taskLimit] = found.limit
    x[SystemSlot.isNarrowTask] = layout.isNarrow ? 1 : 0
    x[SystemSlot.cr0] |= CR0.taskSwitched
    if !layout.isNarrow, x[SystemSlot.cr0] & CR0.paging != 0 { _ = writeCR3(state.root, hart) }
    let kept = layout.isNarrow ? RFlags.read(x) & ~(0xffff | RFlags.virtual) : 0
    RFlags.write(x, state.flags | kept | (cause.nests ? RFlags.nested : 0))
    // What the upper halves are in a task of 16 bits is not said: zero, as on QEMU.
    for number in UInt8(0)..<8 { x[Registers.slot(number)] = state.general[Int(number)] }
    // Until they are loaded none can be used.
    for register in 0..<6 {
      let selector = register < state.selectors.count ? state.selectors[register] : 0
      Segment(selector: selector, rights: 0, base: 0, limit: 0).put(register, x)
    }
    x[SystemSlot.privilege] = state.selectors[SegmentRegister.cs] & 3
    // Those of virtual-8086 mode can't be wrong.
    if RFlags.read(x) & RFlags.virtual != 0 { loadVirtual(state.selectors, hart) }
    x[SystemSlot.ldtSelector] = 0
    x[SystemSlot.ldtLimit] = 0
    x[Slot.pc] = state.pc
    x[Slot.checkInterrupts] = 1
    // Breakpoints of the old task alone; the trap of the new one's first instruction.
    writeDebug(
      SystemSlot.debugControl, x[SystemSlot.debugControl] & ~DebugControl.ofTask, hart)
    if state.traps { x[SystemSlot.debugHits] |= DebugStatus.task }
    Self.updateMode(hart)
  }

  /// LDT, then the segments, each as the manual's table has it.
  private func loadTaskSegments(
    _ state: TaskState, _ layout: TaskLayout, _ external: UInt64, _ hart: Hart
  ) throws(Fault) {
    let x = hart.x
    if state.localTable & 0xfffc != 0 {
      let wrong = Fault(10, selector: state.localTable, external: external)
      guard state.localTable & 4 == 0 else { throw wrong }
      let table = try descriptor(state.localTable, orFault: 10, external: external, hart)
      guard !table.isSegment, table.type == 2, table.isPresent else { throw wrong }
      x[SystemSlot.ldtBase] = table.base
      x[SystemSlot.ldtLimit] = table.limit
    }
    x[SystemSlot.ldtSelector] = state.localTable
    if RFlags.read(x) & RFlags.virtual != 0 {
      guard state.pc <= 0xffff else { throw Fault(vector: 13, code: external) }
      x[Slot.pc] = state.selectors[SegmentRegister.cs] << 4 &+ state.pc
      return Self.updateMode(hart)
    }
    let privilege = x[SystemSlot.privilege]
    func found(_ selector: UInt64) throws(Fault) -> Descriptor {
      guard selector & 0xfffc != 0 else { throw Fault(10, selector: 0, external: external) }
      return try descriptor(selector, orFault: 10, external: external, hart)
    }
    func fault(_ vector: UInt64, _ selector: UInt64) -> Fault {
      Fault(vector, selector: selector, external: external)
    }
    let codeSelector = state.selectors[SegmentRegister.cs]
    let code = try found(codeSelector)
    guard code.isCode, code.isConforming ? code.privilege <= privilege : code.privilege == privilege
    else { throw fault(10, codeSelector) }
    guard code.isPresent else { throw fault(11, codeSelector) }
    try setCode(codeSelector, code, privilege: privilege, hart)
    let present = Segment(SegmentRegister.cs, of: x)
    x[Slot.pc] = Self.codeAddress(state.pc, in: present, x)
    let stackSelector = state.selectors[SegmentRegister.ss]
    let stack = try found(stackSelector)
    guard stack.isWritableData, stack.privilege == privilege, stackSelector & 3 == privilege else {
      throw fault(10, stackSelector)
    }
    guard stack.isPresent else { throw fault(12, stackSelector) }
    try markAccessed(stackSelector, stack, hart)
    Segment(stackSelector, stack).put(SegmentRegister.ss, x)
    for register in layout.selectors
    where register != SegmentRegister.cs && register != SegmentRegister.ss {
      let selector = state.selectors[register]
      guard selector & 0xfffc != 0 else { continue }
      let data = try found(selector)
      guard data.isReadable,
        data.isConforming || data.privilege >= max(privilege, selector & 3)
      else { throw fault(10, selector) }
      guard data.isPresent else { throw fault(11, selector) }
      try markAccessed(selector, data, hart)
      Segment(selector, data).put(register, x)
    }
    Self.updateMode(hart)
    guard present.holds(state.pc, 1) else { throw Fault(vector: 13, code: external) }
  }
}
