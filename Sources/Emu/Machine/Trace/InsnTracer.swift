import Engine

/// Watches a hart and says of every instruction what it did.
///
/// An instruction's record is given once the next one begins: what the machine did in answer to it
/// (a call through the gate, a trap) is then among its effects.
final class InsnTracer: InsnObserver {
  private let isa: any TraceISA
  private let registers: [StateSlot]
  private let output: (InsnRecord) -> Void
  /// Which task runs.
  private let task: () -> Int32
  private let before: () -> UInt64
  private var open: InsnRecord?
  private var modes: [Int] = []
  private var values: [UInt64]
  private var exceptions: UInt64 = 0

  /// - Parameters:
  ///   - isa: facts.
  ///   - before: instructions that are not among the hart's own count.
  ///   - task: which task runs.
  ///   - output: takes the records.
  init(
    _ isa: any TraceISA, before: @escaping () -> UInt64, task: @escaping () -> Int32,
    output: @escaping (InsnRecord) -> Void
  ) {
    self.isa = isa
    self.before = before
    self.task = task
    self.output = output
    registers = isa.registers
    values = Array(repeating: 0, count: registers.count)
  }

  /// Records have the state before, too.
  var wantsState = false

  func willExecute(_ pc: UInt64, on hart: Hart) {
    close(hart, next: pc)
    for (index, register) in registers.enumerated() {
      values[index] = isa.value(register.slot, hart)
    }
    exceptions = hart.x[Slot.exceptions]
    let mode = isa.mode(hart)
    open = InsnRecord(
      hart: hart.index, count: before() &+ hart.count, task: task(), mode: mode.letter,
      modeNumber: mode.number, pc: pc, bytes: isa.insnBytes(at: pc, hart),
      code: hart.isa.codeKind(hart))
    if wantsState { open?.before = values }
    modes.removeAll(keepingCapacity: true)
  }

  func willAccess(_ va: UInt64, size: Int, isStore: Bool, on hart: Hart) {
    open?.accesses.append(.init(address: va, size: size, isStore: isStore))
    modes.append(Int(hart.x[Slot.mmuIndex]))
  }

  /// The last instruction is over: says what it did.
  func close(_ hart: Hart, next: UInt64? = nil) {
    guard var record = open else { return }
    open = nil
    record.next = next
    record.trapped = hart.x[Slot.exceptions] != exceptions
    let always = isa.written(record.bytes, code: record.code)
    for (index, register) in registers.enumerated() {
      let value = isa.value(register.slot, hart)
      if value != values[index] || !record.trapped && always.contains(register.slot) {
        record.writes.append(.init(name: register.name, slot: register.slot, value: value))
      }
    }
    if record.trapped {
      // What was about to be accessed may not have been.
      record.accesses = []
    }
    for index in record.accesses.indices {
      let access = record.accesses[index]
      record.accesses[index].bytes = bytes(access, modes[index], hart)
    }
    output(record)
  }

  private func bytes(_ access: InsnRecord.Access, _ mode: Int, _ hart: Hart) -> [UInt8]? {
    var bytes: [UInt8] = []
    var at = 0
    while at < access.size {
      let count = min(8, access.size - at)
      guard let value = hart.peek(access.address &+ UInt64(at), count, mmuIndex: mode) else {
        return nil
      }
      bytes += littleEndian(value, count)
      at += count
    }
    return bytes
  }
}
