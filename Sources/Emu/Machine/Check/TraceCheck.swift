import Engine

/// Runs the instructions of a foreign trace on our own hart and compares what each does.
final class TraceCheck: InsnObserver {
  /// What came of it.
  struct Summary: Equatable {
    /// Instructions that were run.
    var insns: UInt64 = 0
    /// Of those, the ones whose effects the log does not determine.
    var unchecked: UInt64 = 0
    /// System calls, whose effects were taken from the log.
    var systemCalls: UInt64 = 0
    /// Times that the log went on elsewhere: interrupts and signals.
    var jumps: UInt64 = 0
    /// Steps that differ.
    var differences = 0
  }

  private(set) var summary = Summary()
  private let target: any CheckTarget
  private let memory: CheckMemory
  private let isa: CheckISA
  private let hart: Hart
  private let isUserMode: Bool
  private let report: ([String]) -> Void
  private var isFirst = true
  private var step = ForeignStep(line: 0, insns: [])
  /// The step loaded bytes that nobody knows.
  private var usedUnknown = false
  private var stores: [(address: UInt64, size: Int)] = []
  private var current: [UInt8] = []
  /// The compared registers before the step.
  private var saved: [UInt64]
  /// Registers of which it is known what they hold.
  private var known: Set<Int> = []
  /// The pages that our hart stored to since memory was compared last, as they were then.
  private var stored: [UInt64: [UInt8]] = [:]
  /// Which step stored last to each eight bytes of them.
  private var storers: [UInt64: Int] = [:]
  /// Bytes that are the processor maker's own: they are as the log has them.
  private var makersOwn: [Range<UInt64>] = []
  /// The lowest address that the step stored to.
  private var lowestStore: UInt64?
  /// What a step's number counts.
  private let unit: String

  /// - Parameters:
  ///   - target: the instruction set.
  ///   - isUserMode: the log is of a program without its kernel.
  ///   - engine: what runs micro-ops.
  ///   - unit: what a step's number counts.
  ///   - knowsMemory: the log says all of memory that its program did not write itself.
  ///   - report: takes the lines of a difference.
  init?(
    _ target: any CheckTarget, isUserMode: Bool, engine: BackEnd = .interpreter,
    unit: String = "line", knowsMemory: Bool = false, report: @escaping ([String]) -> Void
  ) {
    guard let memory = CheckMemory() else { return nil }
    memory.isWhole = knowsMemory
    self.unit = unit
    self.target = target
    self.memory = memory
    self.isUserMode = isUserMode
    self.report = report
    saved = Array(repeating: 0, count: target.compared.count)
    isa = CheckISA(target.isa, memory)
    isa.takesTraps = !isUserMode
    hart = Hart(
      index: 0, bus: Bus(ram: memory.ram), isa: isa, cacheModel: .coherent,
      tlbCount: target.tlbCount, engine: engine)
    // Helpers know their own instruction set, not what is around it.
    hart.x[Slot.isaObject] = UInt64(
      UInt(bitPattern: Unmanaged.passUnretained(target.isa as AnyObject).toOpaque()))
  }

  /// The bytes of a program's or an image's segment.
  func load(_ address: UInt64, _ bytes: [UInt8]) { memory.write(address, bytes) }

  /// No step follows: its hart, which it owns, tells it nothing any more and does not keep it.
  func end() { hart.observe(nil) }

  // MARK: Steps

  func check(_ step: ForeignStep) {
    guard let start = step.insns.first?.pc ?? step.next ?? (isFirst ? nil : hart.x[Slot.pc]) else {
      return
    }
    if isFirst {
      isFirst = false
      target.prepare(hart, pc: start, mode: step.mode)
      hart.observe(self)
    }
    if let pages = step.memory { compareMemory(pages, step) }
    if step.isArrival { return arrive(step) }
    guard let first = step.insns.first else { return }
    if hart.x[Slot.pc] != first.pc { arrive(first.pc, step) }
    if let mode = step.mode, mode != target.trace.mode(hart).number {
      differ(
        step, ["the mode is \(target.trace.mode(hart).number), the log has \(mode)"], adopts: false)
      target.setMode(hart, mode)
    }
    if let before = step.before {
      for (slot, value) in before {
        target.trace.setValue(slot, value, hart)
        known.insert(slot)
      }
    }
    self.step = step
    usedUnknown = false
    lowestStore = nil
    stores = []
    for insn in step.insns { place(insn) }
    for (index, register) in target.compared.enumerated() {
      saved[index] = target.trace.value(register.slot, hart)
    }
    let isCall = step.insns.last.map { target.trace.isSystemCall($0.bytes) } ?? false
    // Who logs the call has its effects from elsewhere.
    isa.takesTraps = !isUserMode && !isCall
    for (index, insn) in step.insns.enumerated() {
      guard hart.x[Slot.pc] == insn.pc else { break }
      current = insn.bytes
      isa.raised = false
      summary.insns &+= 1
      if isCall, target.skipsSystemCalls, index == step.insns.count - 1 { return systemCall(step) }
      run(insn, step)
      if isa.raised {
        if isCall, index == step.insns.count - 1 { return systemCall(step) }
        guard isUserMode else { break }
        return leave(step, "raises an exception", index)
      }
    }
    for store in stores {
      if usedUnknown, step.stores == nil {
        memory.setUnknown(store.address, store.size)
      } else {
        memory.setKnown(store.address, store.size)
      }
    }
    if let lowest = lowestStore {
      makersOwn += target.makersOwn(current, storedFrom: lowest)
    }
    compare(step, saved)
    known.formUnion(step.after.keys)
    for (address, bytes) in step.written { write(address, bytes) }
  }

  private func run(_ insn: ForeignStep.Insn, _ step: ForeignStep) {
    // One that failed there fails here: it may for any reason, and for another hart's or program's,
    // which this log need not show.
    if target.isStoreConditional(insn.bytes), step.stores?.isEmpty == true {
      hart.x[Slot.reservation] = .max
    }
    guard target.repeats(insn.bytes) else {
      _ = hart.run(until: hart.count &+ 1)
      return
    }
    let counter = target.repeatCounter
    let count = hart.x[counter]
    let left = step.after[counter] ?? count
    if step.next == insn.pc, left < count {
      // Interrupted: as many repetitions as the log has.
      hart.x[counter] = count &- left
    }
    repeat {
      _ = hart.run(until: hart.count &+ 1)
    } while !isa.raised && hart.x[Slot.pc] == insn.pc && !Interruption.requested
    if step.next == insn.pc, left < count {
      hart.x[counter] = hart.x[counter] &+ left
      hart.x[Slot.pc] = insn.pc
    }
  }

  /// The log's kernel puts the program elsewhere, or it ends.
  private func arrive(_ step: ForeignStep) {
    if !step.insns.isEmpty || step.next != nil, summary.insns > 0 { summary.jumps &+= 1 }
    for (address, bytes) in step.written { write(address, bytes) }
    adopt(step)
  }

  /// Bytes that are the log's kernel's.
  private func write(_ address: UInt64, _ bytes: [UInt8]) {
    memory.write(address, bytes)
  }

  /// Compares the pages that the log's program changed, and those that ours did.
  private func compareMemory(_ pages: [(address: UInt64, bytes: [UInt8])], _ step: ForeignStep) {
    var theirs = stored
    for (address, bytes) in pages where bytes.count == 4096 { theirs[address] = bytes }
    for at in makersOwn.joined() {
      if let page = theirs[at & ~4095] { memory.write(at, [page[Int(at & 4095)]]) }
    }
    makersOwn = []
    var lines: [String] = []
    for (address, bytes) in theirs.sorted(by: { $0.key < $1.key }) {
      let ours = memory.page(address)
      guard ours != bytes else { continue }
      let differing = bytes.indices.filter { ours[$0] != bytes[$0] }
      for at in Set(differing.map { $0 & ~7 }).sorted().prefix(4) {
        let place = address &+ UInt64(at)
        let number = { (bytes: [UInt8]) in
          bytes[at..<at + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        let who = storers[place].map { "; our hart stored there at \(unit) \($0)" } ?? ""
        lines.append(
          "at \(hex(place)) is \(hex(number(ours))), the log has \(hex(number(bytes)))\(who)")
      }
      memory.write(address, bytes)
    }
    stored = [:]
    storers = [:]
    guard !lines.isEmpty else { return }
    summary.differences += 1
    report(
      ["\(unit) \(step.line): memory, compared before this \(unit)"] + lines.map { "  " + $0 })
  }

  /// The hart is elsewhere than the log.
  private func arrive(_ pc: UInt64, _ step: ForeignStep) {
    let before = target.trace.mode(hart).number
    if !isUserMode {
      // An instruction that traps is not committed, and so not in the log.
      let here = hart.x[Slot.pc]
      let bytes = target.trace.insnBytes(at: here, hart)
      if memory.isKnown(here, 2), target.mayTrap(bytes) {
        isa.raised = false
        self.step = ForeignStep(line: step.line, insns: [])
        _ = hart.run(until: hart.count &+ 1)
        if isa.raised, hart.x[Slot.pc] == pc { return }
      }
    }
    summary.jumps &+= 1
    for slot in target.trapRegisters { known.remove(slot) }
    if before == 0, step.mode == 0 {
      // A kernel that the log does not show has run, and this may be another program.
      known = []
      memory.forget()
    }
    hart.x[Slot.pc] = pc
    if let mode = step.mode { target.setMode(hart, mode) }
  }

  /// Puts the log's instruction where it is said to be.
  private func place(_ insn: ForeignStep.Insn) {
    if !memory.isWhole { memory.write(insn.pc, insn.bytes) }
  }

  /// What the kernel did is taken from the log.
  private func systemCall(_ step: ForeignStep) {
    summary.systemCalls &+= 1
    if step.written.isEmpty { memory.forget() }
    for (address, bytes) in step.written { write(address, bytes) }
    adopt(step)
  }

  private func leave(_ step: ForeignStep, _ what: String, _ index: Int) {
    if let next = step.next, next != step.insns.last.map({ $0.pc &+ UInt64($0.bytes.count) }) {
      // A signal's handler, or the end.
      summary.jumps &+= 1
      memory.forget()
      adopt(step)
      return
    }
    differ(step, ["our hart \(what) at \(hex(step.insns[index].pc))"])
  }

  private func adopt(_ step: ForeignStep) {
    known.formUnion(step.after.keys)
    for (slot, value) in step.after { target.trace.setValue(slot, value, hart) }
    if let next = step.next {
      hart.x[Slot.pc] = next
    } else if let last = step.insns.last {
      hart.x[Slot.pc] = last.pc &+ UInt64(last.bytes.count)
    }
  }

  // MARK: Comparing

  private func compare(_ step: ForeignStep, _ before: [UInt64]) {
    var lines: [String] = []
    for (index, register) in target.compared.enumerated() {
      let ours = target.trace.value(register.slot, hart)
      let theirs = step.after[register.slot] ?? (step.isComplete ? nil : before[index])
      guard let theirs, ours != theirs else { continue }
      let undefined =
        step.insns.last.map { target.undefined(register.slot, $0.bytes, before: before) } ?? 0
      if (ours ^ theirs) & register.mask & ~undefined == 0 {
        // What the manual leaves open is as the log has it.
        if undefined != 0 { target.trace.setValue(register.slot, theirs, hart) }
      } else if step.after[register.slot] != nil {
        lines.append("\(register.name) is \(hex(ours)), the log has \(hex(theirs))")
      } else {
        lines.append("\(register.name) becomes \(hex(ours)), of which the log says nothing")
      }
    }
    for (slot, theirs) in step.after where hart.x[slot] != theirs {
      guard let name = target.systemName(slot) else { continue }
      lines.append("\(name) is \(hex(hart.x[slot])), the log has \(hex(theirs))")
    }
    if let next = step.next, hart.x[Slot.pc] != next {
      lines.append("the next pc is \(hex(hart.x[Slot.pc])), the log has \(hex(next))")
    }
    lines += compareStores(step)
    guard !lines.isEmpty else { return }
    if isUndetermined(step) {
      summary.unchecked &+= UInt64(step.insns.count)
      adopt(step)
      return
    }
    differ(step, lines)
  }

  /// Whether a result depends on what no line of the log has said.
  private func isUndetermined(_ step: ForeignStep) -> Bool {
    if usedUnknown { return true }
    for insn in step.insns {
      if target.isVolatile(insn.bytes) { return true }
      if target.trace.read(insn.bytes).contains(where: { !known.contains($0) }) { return true }
      if let slot = target.systemRegister(insn.bytes), !known.contains(slot) {
        if step.insns.count == 1, slot != CheckedRegisters.system["mstatus"],
          let written = target.trace.written(insn.bytes).first, let value = step.after[written]
        {
          // What was read is what it is from now on, unless the instruction wrote it.
          if target.trace.read(insn.bytes).isEmpty {
            hart.x[slot] = value
            known.insert(slot)
          }
        }
        return true
      }
    }
    return false
  }

  private func compareStores(_ step: ForeignStep) -> [String] {
    guard let theirs = step.stores else { return [] }
    var lines: [String] = []
    for store in theirs {
      let ours = memory.value(store.address, store.size)
      guard stores.contains(where: { $0.address == store.address && $0.size == store.size }) else {
        lines.append(
          "the log stores \(store.size) bytes at \(hex(store.address)), our hart does not")
        continue
      }
      let mask = store.size >= 8 ? UInt64.max : 1 << UInt64(8 * store.size) &- 1
      if ours & mask != store.value & mask {
        lines.append(
          "at \(hex(store.address)) is \(hex(ours & mask)), the log has \(hex(store.value & mask))")
      }
    }
    for store in stores
    where !theirs.contains(where: { $0.address == store.address && $0.size == store.size }) {
      lines.append(
        "our hart stores \(store.size) bytes at \(hex(store.address)), of which the log says nothing"
      )
    }
    return lines
  }

  private func differ(_ step: ForeignStep, _ lines: [String], adopts: Bool = true) {
    summary.differences += 1
    let insns = step.insns.map {
      "\(hex($0.pc)): \(target.trace.disassemble($0.bytes, at: $0.pc).replacing("\t", with: " "))"
    }
    report(
      [
        "\(unit) \(step.line): \(insns.count == 1 ? insns[0] : "a block of \(insns.count) instructions")"
      ]
        + (insns.count == 1 ? [] : insns.map { "  " + $0 }) + lines.map { "  " + $0 })
    guard adopts else { return }
    if !step.isComplete {
      for (register, value) in zip(target.compared, saved) {
        target.trace.setValue(register.slot, value, hart)
      }
    }
    for store in step.stores ?? [] {
      memory.write(store.address, littleEndian(store.value, store.size))
    }
    adopt(step)
  }

  private func hex(_ value: UInt64) -> String { "0x\(String(value, radix: 16))" }

  // MARK: Watching our hart

  func willExecute(_ pc: UInt64, on hart: Hart) {}

  func willAccess(_ va: UInt64, size: Int, isStore: Bool, on hart: Hart) {
    if isStore {
      if memory.isWhole { noteStore(va, size) } else { stores.append((va, size)) }
      return
    }
    guard !memory.isKnown(va, size) else { return }
    for load in step.loads
    where load.address <= va && va &+ UInt64(size) <= load.address &+ UInt64(load.size) {
      memory.write(load.address, littleEndian(load.value, load.size))
      return
    }
    // What a load is said to have given was in memory.
    if step.insns.count == 1, size <= 8, let slot = target.trace.written(current).first,
      let value = step.after[slot]
    {
      memory.write(va, littleEndian(value, size))
      return
    }
    usedUnknown = true
  }

  /// Keeps the pages as they are before the first store to them.
  private func noteStore(_ va: UInt64, _ size: Int) {
    lowestStore = min(lowestStore ?? va, va)
    let last = va &+ UInt64(max(size, 1) - 1)
    for page in [va & ~4095, last & ~4095] where stored[page] == nil {
      stored[page] = memory.page(page)
    }
    var at = va & ~7
    while true {
      storers[at] = step.line
      if at == last & ~7 { break }
      at = at &+ 8
    }
  }

  /// Whether the log touches more pages than there is room for.
  var isFull: Bool { memory.isFull }
}
