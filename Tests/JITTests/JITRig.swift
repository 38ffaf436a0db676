import Testing

@testable import Engine
@testable import RISCV

/// Two machines that are the same but for what runs their micro-ops.
final class Twins {
  static let code: UInt64 = 0x1000
  static let handler: UInt64 = 0x8000
  static let data: UInt64 = 0x2_0000
  static let size: UInt64 = 1 << 20

  let rams: [PhysicalMemory]
  let isas = [RV64(), RV64()]
  let harts: [Hart]

  var jit: Hart { harts[1] }

  init(_ options: JITOptions, _ caches: CacheModel = .coherent) throws {
    let one = try #require(PhysicalMemory(base: 0, size: Self.size))
    let other = try #require(PhysicalMemory(base: 0, size: Self.size))
    rams = [one, other]
    harts = [
      Hart(
        index: 0, bus: Bus(ram: one), isa: isas[0], cacheModel: caches, tlbCount: RV64.tlbCount,
        engine: .interpreter),
      Hart(
        index: 0, bus: Bus(ram: other), isa: isas[1], cacheModel: caches, tlbCount: RV64.tlbCount,
        engine: .jit, jit: options),
    ]
    for (isa, hart) in zip(isas, harts) {
      isa.reset(hart, pc: Self.code)
      isa.grantAllMemory(hart)
      hart.x[SystemSlot.mtvec] = Self.handler
      hart.x[SystemSlot.mstatus] = Status.fs
      isa.updateMode(hart)
    }
    // Every trap is counted in x31 and what trapped is skipped.
    put(
      Self.handler,
      [
        Insn(op: .addi, rd: 31, rs1: 31, imm: 1), Insn(op: .csrrs, rd: 30, imm: 0x341),
        Insn(op: .addi, rd: 30, rs1: 30, imm: 4), Insn(op: .csrrw, rs1: 30, imm: 0x341),
        Insn(op: .mret),
      ])
  }

  /// Writes instructions, from outside, to both.
  func put(_ address: UInt64, _ insns: [Insn]) {
    var at = address
    for insn in insns {
      guard let bits = Encoder.encode(insn) else {
        Issue.record("no encoding: \(insn)")
        return
      }
      for ram in rams { ram.store(at, bits) }
      at += UInt64(insn.length)
    }
  }

  func set(_ register: Int, _ value: UInt64) {
    for hart in harts { hart.x[register] = value }
  }

  /// Runs both for `count` more instructions and compares them.
  func step(_ count: UInt64, _ what: String = "") {
    let target = harts[0].count + count
    let stops = harts.map { $0.run(until: target) }
    #expect(stops[0] == stops[1], "\(what)")
    #expect(harts[0].count == harts[1].count, "\(what)")
    compare(what)
  }

  func compare(_ what: String) {
    let (one, other) = (harts[0], harts[1])
    #expect(one.pc == other.pc, "pc \(what) at \(one.count)")
    let ranges = [0..<Slot.temp, Slot.fp..<Slot.pending, Slot.system..<Slot.total]
    for slot in ranges.joined() where one.x[slot] != other.x[slot] {
      Issue.record("slot \(slot): \(other.x[slot]) and not \(one.x[slot]) \(what) at \(one.count)")
      return
    }
    #expect(one.x[Slot.exceptions] == other.x[Slot.exceptions], "\(what)")
    for at in stride(from: Self.data, to: Self.data + 0x3000, by: 8)
    where rams[0].load(at, as: UInt64.self) != rams[1].load(at, as: UInt64.self) {
      Issue.record("memory at \(at) \(what)")
      return
    }
  }
}

/// The ways to force the JIT's rare paths.
enum Forced {
  static let all: [(name: String, options: JITOptions)] = {
    func make(_ change: (inout JITOptions) -> Void) -> JITOptions {
      var options = JITOptions()
      options.threshold = 1
      change(&options)
      return options
    }
    return [
      ("plain", make { _ in }), ("one-entry TLB", make { $0.singleTLBEntry = true }),
      ("one register", make { $0.registers = 1 }), ("no register", make { $0.registers = 0 }),
      ("one-instruction blocks", make { $0.maxInsns = 1 }),
      ("a few KiB of code", make { $0.codeBytes = 1 << 13 }),
      ("no inline TLB", make { $0.inlineTLB = false }), ("no chains", make { $0.chains = false }),
      ("no native float", make { $0.nativeFloat = false }),
      ("no units", make { $0.unitBlocks = 1 }), ("late", make { $0.threshold = 5 }),
    ]
  }()
}
