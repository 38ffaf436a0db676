import Engine
import RISCV

/// What the check of a foreign trace must know of an instruction set.
protocol CheckTarget: AnyObject {
  /// Its own object, which the check's translation is put around.
  var isa: any GuestISA { get }
  /// Facts for messages.
  var trace: any TraceISA { get }
  /// How many address translations in force at different times it has.
  var tlbCount: Int { get }
  /// The registers that an instruction may write and that logs show.
  var compared: [StateSlot] { get }
  /// Makes the hart able to run any instruction, floating point included, in the mode that the log
  /// begins with.
  func prepare(_ hart: Hart, pc: UInt64, mode: Int?)
  /// Puts the hart into a mode.
  func setMode(_ hart: Hart, _ mode: Int)
  /// Whether an instruction's result is no matter of the processor alone: time, counters.
  func isVolatile(_ bytes: [UInt8]) -> Bool
  /// Whether an instruction stores only if nobody else has, and may fail to for no reason.
  func isStoreConditional(_ bytes: [UInt8]) -> Bool
  /// Whether an instruction traps for other reasons than memory: it may not be in a log.
  func mayTrap(_ bytes: [UInt8]) -> Bool
  /// The slot of the system register that an instruction names.
  func systemRegister(_ bytes: [UInt8]) -> Int?
  /// The name of the system register in a slot that logs show.
  func systemName(_ slot: Int) -> String?
  /// The slots of system registers that a trap writes.
  var trapRegisters: [Int] { get }
  /// Whether a system call must not be executed, as it would go to a kernel.
  var skipsSystemCalls: Bool { get }
  /// The bits of a register that an instruction leaves to the processor's maker.
  ///
  /// - Parameters:
  ///   - slot: the register.
  ///   - bytes: the instruction.
  ///   - before: the compared registers before it.
  /// - Returns: a mask.
  func undefined(_ slot: Int, _ bytes: [UInt8], before: [UInt64]) -> UInt64
  /// Where an instruction has stored what is the processor maker's own.
  ///
  /// - Parameters:
  ///   - bytes: the instruction.
  ///   - lowest: the lowest address that it stored to.
  /// - Returns: the addresses.
  func makersOwn(_ bytes: [UInt8], storedFrom lowest: UInt64) -> [Range<UInt64>]
  /// Whether an instruction may be at the same place again until it is done.
  func repeats(_ bytes: [UInt8]) -> Bool
  /// The register that counts repetitions down.
  var repeatCounter: Int { get }
}

extension CheckTarget {
  /// Logs show none.
  func systemName(_ slot: Int) -> String? { nil }
  /// There are none.
  func isStoreConditional(_ bytes: [UInt8]) -> Bool { false }
  /// It raises an exception and goes nowhere.
  var skipsSystemCalls: Bool { false }
  /// None.
  func undefined(_ slot: Int, _ bytes: [UInt8], before: [UInt64]) -> UInt64 { 0 }
  /// None.
  func makersOwn(_ bytes: [UInt8], storedFrom lowest: UInt64) -> [Range<UInt64>] { [] }
  /// There are none.
  func repeats(_ bytes: [UInt8]) -> Bool { false }
  /// There is none.
  var repeatCounter: Int { 0 }
}

/// RISC-V's.
final class RISCVCheck: CheckTarget {
  private let rv = RV64()
  var isa: any GuestISA { rv }
  let trace: any TraceISA = RISCVTraceISA()
  var tlbCount: Int { RV64.tlbCount }
  let compared: [StateSlot] =
    (1..<32).map { StateSlot(Registers.xNames[$0], slot: $0) }
    + (0..<32).map { StateSlot(Registers.fNames[$0], slot: Slot.fp + $0) }

  func prepare(_ hart: Hart, pc: UInt64, mode: Int?) {
    if mode == 0 || mode == 1 {
      // Below somebody else's firmware.
      rv.enterSupervisor(hart, pc: pc)
      for register in 1..<32 { hart.x[register] = 0 }
      setMode(hart, mode ?? 1)
    } else {
      rv.reset(hart, pc: pc)
    }
    rv.enableFloatingPoint(hart)
  }

  func setMode(_ hart: Hart, _ mode: Int) { rv.setPrivilege(UInt64(mode), hart) }

  func isVolatile(_ bytes: [UInt8]) -> Bool {
    guard bytes.count == 4, bytes[0] & 0x7f == 0x73, bytes[1] & 0x70 != 0 else { return false }
    let number = UInt16(bytes[2]) >> 4 | UInt16(bytes[3]) << 4
    // cycle, time, instret and their machine forms; mip, which devices drive.
    return [0xc00, 0xc01, 0xc02, 0xb00, 0xb02, 0x344, 0x144].contains(number)
  }

  /// - SeeAlso: RISC-V Unprivileged ISA, 'RV32/64G Instruction Set Listings'.
  func isStoreConditional(_ bytes: [UInt8]) -> Bool {
    bytes.count == 4 && bytes[0] & 0x7f == 0x2f && bytes[3] >> 3 == 3
  }

  func mayTrap(_ bytes: [UInt8]) -> Bool {
    guard let first = bytes.first else { return false }
    return first & 0x7f == 0x73 || bytes == [2, 0x90]
      || trace.disassemble(bytes, at: 0).hasPrefix(".")
  }

  func systemRegister(_ bytes: [UInt8]) -> Int? {
    guard bytes.count == 4, bytes[0] & 0x7f == 0x73, bytes[1] & 0x70 != 0 else { return nil }
    let words = trace.disassemble(bytes, at: 0).split { $0 == "\t" || $0 == "," }
    for word in words.dropFirst() {
      if let slot = CheckedRegisters.system[String(word)] { return slot }
    }
    return nil
  }

  func systemName(_ slot: Int) -> String? {
    CheckedRegisters.system.first { $0.value == slot }?.key
  }

  let trapRegisters = [
    "mstatus", "mepc", "mcause", "mtval", "sepc", "scause", "stval",
  ].compactMap { CheckedRegisters.system[$0] }
}

/// System registers that are kept in a slot, by name.
enum CheckedRegisters {
  static let system: [String: Int] = {
    var slots: [String: Int] = [:]
    for register in RISCVTraceISA().registers where register.slot >= Slot.isa {
      slots[register.name] = register.slot
    }
    // A part of it.
    slots["sstatus"] = slots["mstatus"]
    slots["sie"] = slots["mie"]
    slots["sip"] = slots["mip"]
    return slots
  }()
}
