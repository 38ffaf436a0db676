import Testing

@testable import Engine
@testable import RISCV

/// A small machine for tests of what one instruction can't show: RAM from 0, harts, a device.
final class Rig {
  static let size: UInt64 = 8 << 20
  /// Where programs are put.
  static let code: UInt64 = 0x1000
  /// Machine and supervisor trap vectors; nothing but `nop` there.
  static let machineVector: UInt64 = 0x8000
  static let supervisorVector: UInt64 = 0x9000
  static let data: UInt64 = 0x2_0000
  /// Nothing answers here.
  static let nowhere: UInt64 = 0x4000_0000
  static let device: UInt64 = 0x1000_0000
  /// The root page table; the others follow.
  static let root: UInt64 = 0x10_0000

  let ram: PhysicalMemory
  let bus: Bus
  private(set) var isas: [RV64] = []
  private(set) var harts: [Hart] = []
  private var nextTable = root + 4096

  var hart: Hart { harts[0] }
  var isa: RV64 { isas[0] }

  init(
    _ caches: CacheModel = .coherent, harts count: Int = 1, compressed: Bool = true
  ) throws {
    ram = try #require(PhysicalMemory(base: 0, size: Self.size))
    bus = Bus(ram: ram)
    for index in 0..<count {
      let isa = RV64(compressed: compressed)
      let hart = Hart(
        index: index, bus: bus, isa: isa, cacheModel: caches, tlbCount: RV64.tlbCount,
        sharing: harts.first)
      isas.append(isa)
      harts.append(hart)
      isa.reset(hart, pc: Self.code)
      isa.grantAllMemory(hart)
      hart.x[SystemSlot.mtvec] = Self.machineVector
      hart.x[SystemSlot.stvec] = Self.supervisorVector
      hart.x[SystemSlot.mstatus] = Status.fs
      isa.updateMode(hart)
    }
    for vector in [Self.machineVector, Self.supervisorVector] {
      for slot in UInt64(0)..<64 { put(vector + slot * 4, [.nop]) }
    }
  }

  // MARK: Programs

  /// Writes instructions at a physical address.
  ///
  /// - Returns: the address behind them.
  @discardableResult
  func put(_ address: UInt64, _ insns: [Insn]) -> UInt64 {
    var at = address
    for insn in insns {
      guard let bits = Encoder.encode(insn) else {
        Issue.record("no encoding: \(insn)")
        return at
      }
      if insn.length == 2 {
        ram.store(at, UInt16(truncatingIfNeeded: bits))
      } else {
        ram.store(at, bits)
      }
      at += UInt64(insn.length)
    }
    return at
  }

  /// Puts instructions at ``code`` and runs them, one count each.
  @discardableResult
  func run(_ insns: [Insn], on index: Int = 0, at address: UInt64 = code) -> HartStop {
    put(address, insns)
    harts[index].synchronizeInstructionFetch()
    harts[index].x[Slot.pc] = address
    return step(insns.count, on: index)
  }

  @discardableResult
  func step(_ count: Int = 1, on index: Int = 0) -> HartStop {
    harts[index].run(until: harts[index].count + UInt64(count))
  }

  // MARK: State

  subscript(_ name: String) -> UInt64 {
    get {
      if let number = Registers.x(named: name) { return hart.x[Int(number)] }
      if let number = Registers.f(named: name) { return hart.x[Slot.fp + Int(number)] }
      if name == "pc" { return hart.pc }
      if name == "priv" { return hart.x[SystemSlot.privilege] }
      if let value = isa.register(name, hart) { return value }
      Issue.record("there is no \(name)")
      return 0
    }
    set {
      if let number = Registers.x(named: name) {
        hart.x[Int(number)] = newValue
      } else if name == "pc" {
        hart.x[Slot.pc] = newValue
      } else if name == "priv" {
        hart.x[SystemSlot.privilege] = newValue
        isa.updateMode(hart)
        hart.x[Slot.checkInterrupts] = 1
      } else if let row = SystemRegisters.table.first(where: { $0.name == name }) {
        let privilege = hart.x[SystemSlot.privilege]
        hart.x[SystemSlot.privilege] = 3
        _ = isa.writeRegister(row.number, newValue, hart)
        hart.x[SystemSlot.privilege] = privilege
        isa.updateMode(hart)
      } else {
        Issue.record("there is no \(name)")
      }
    }
  }

  func load(_ address: UInt64) -> UInt64 { ram.load(address, as: UInt64.self) ?? 0 }

  /// A store by someone that no cache hears of: what a hart's own store does in architectural mode.
  func poke(_ address: UInt64, _ value: UInt64) {
    ram.pointer(address).storeBytes(of: value, as: UInt64.self)
  }

  // MARK: Page tables

  func newTable() -> UInt64 {
    defer { nextTable += 4096 }
    return nextTable
  }

  /// The address of the entry for `va` at `level` of a tree of `levels`, tables made as needed.
  func entry(_ va: UInt64, level: Int = 0, levels: Int = 3, root: UInt64 = Rig.root) -> UInt64 {
    var table = root
    var at = levels - 1
    while at > level {
      let slot = table + (va >> UInt64(12 + 9 * at) & 0x1ff) * 8
      if load(slot) & 1 == 0 { ram.store(slot, (newTable() >> 12) << 10 | 1) }
      table = (load(slot) >> 10) << 12
      at -= 1
    }
    return table + (va >> UInt64(12 + 9 * level) & 0x1ff) * 8
  }

  /// Maps a page with the given flags (V is added).
  func map(
    _ va: UInt64, to pa: UInt64, _ flags: UInt64, level: Int = 0, levels: Int = 3,
    root: UInt64 = Rig.root
  ) {
    ram.store(
      entry(va, level: level, levels: levels, root: root), (pa >> 12) << 10 | flags | PTE.valid)
  }

  /// Maps the code page and the trap vectors to themselves and turns paging on, in supervisor mode.
  func enterPaging(levels: Int = 3, code flags: UInt64 = PTE.read | PTE.execute | PTE.accessed) {
    for page in [Self.code, Self.machineVector, Self.supervisorVector] {
      map(page, to: page, flags, levels: levels)
    }
    self["satp"] = UInt64(levels + 5) << 60 | Self.root >> 12
    self["medeleg"] = 0xb1ff
    self["priv"] = 1
  }

  /// The exception that was just taken to supervisor mode: cause and stval; or what else happened.
  var fault: String {
    self["pc"] == Self.supervisorVector
      ? "\(self["scause"]) \(hex(self["stval"]))" : "pc \(hex(self["pc"]))"
  }
}

extension Insn {
  static let nop = Insn(op: .addi)

  static func load(_ rd: UInt8, _ base: UInt8, _ offset: Int64 = 0, op: RISCV.Op = .ld) -> Insn {
    Insn(op: op, rd: rd, rs1: base, imm: offset)
  }

  static func store(
    _ value: UInt8, _ base: UInt8, _ offset: Int64 = 0, op: RISCV.Op = .sd
  ) -> Insn {
    Insn(op: op, rs1: base, rs2: value, imm: offset)
  }

  static func read(_ rd: UInt8, _ csr: Int64) -> Insn { Insn(op: .csrrs, rd: rd, imm: csr) }
  static func write(_ csr: Int64, _ rs1: UInt8) -> Insn { Insn(op: .csrrw, rs1: rs1, imm: csr) }
  static func li(_ rd: UInt8, _ value: Int64) -> Insn { Insn(op: .addi, rd: rd, imm: value) }
}

/// ABI numbers, as tests write them.
enum Reg {
  static let ra: UInt8 = 1, a0: UInt8 = 10, a1: UInt8 = 11, a2: UInt8 = 12, a3: UInt8 = 13
  static let a4: UInt8 = 14, a5: UInt8 = 15
}

final class RecordingDevice: Device {
  var log: [String] = []
  var value: UInt64 = 0x1122_3344_5566_7788
  var onWrite: (() -> Void)?

  func read(_ offset: UInt64, size: Int) -> UInt64 {
    log.append("r\(size)@\(offset)")
    return value
  }

  func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    log.append("w\(size)@\(offset)=\(hex(value))")
    onWrite?()
  }
}
