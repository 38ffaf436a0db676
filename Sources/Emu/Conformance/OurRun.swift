import Engine
import RISCV

/// How a program is run on our hart; the result must not depend on it.
enum Variant: String, CaseIterable {
  /// As fast as it goes, addresses physical.
  case plain
  /// In slices of a few instructions, addresses translated to scattered pages.
  case sliced
  /// With an observer of every instruction.
  case observed
  /// With caches as stale as the manual allows, addresses translated.
  case architectural

  var isPaged: Bool { self == .sliced || self == .architectural }
}

/// What a program did on our hart.
struct OurResult {
  var output: [UInt8] = []
  /// How it ended, if not by its own exit.
  var failure: String?
  /// Instructions of the program begun.
  var count: UInt64 = 0
  var exceptions: UInt64 = 0
  /// What the observer saw.
  var path: [UInt64] = []
}

/// One program on one new hart in supervisor mode, with `write` and `exit` for an environment.
final class OurRun: HartEnvironment, InsnObserver {
  private static let ramSize: UInt64 = 0x180_0000
  /// Page tables and start-up code lie above the program.
  private static let tables: UInt64 = 0x100_0000
  private static let start: UInt64 = 0x1000
  private static let handler: UInt64 = 0x2000

  private let ram: PhysicalMemory
  private let isa = RV64()
  private let hart: Hart
  private let paged: Bool
  private var result = OurResult()
  private var finished = false
  private var seen = 0
  private var startCount: UInt64 = 0
  private let keepsPath: Bool

  init(_ program: RandomProgram, _ variant: Variant, keepsPath: Bool = false) throws {
    guard let ram = PhysicalMemory(base: 0, size: Self.ramSize) else {
      throw ToolError(description: "the host refuses \(Self.ramSize) bytes of address space")
    }
    self.ram = ram
    self.keepsPath = keepsPath
    paged = variant.isPaged
    hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa,
      cacheModel: variant == .architectural ? .architectural : .coherent,
      tlbCount: RV64.tlbCount)
    hart.environment = self
    if paged { map() }
    write(Layout.code, program.code)
    write(Layout.pool, program.data)
    write(Self.start, Self.startup)
    // A trap ends up in an ecall of its own.
    write(Self.handler, [0x73, 0, 0, 0])
    isa.enterSupervisor(hart, pc: Self.start, root: paged ? 8 << 60 | Self.tables >> 12 : 0)
    if variant == .observed { hart.observe(self) }
  }

  /// Turns floating point on, names the trap handler, jumps to the program.
  private static let startup: [UInt8] = {
    let insns = [
      Insn(op: .lui, rd: 5, imm: 0x6000), Insn(op: .csrrs, rs1: 5, imm: 0x100),
      Insn(op: .lui, rd: 5, imm: Int64(handler)), Insn(op: .csrrw, rs1: 5, imm: 0x105),
      Insn(op: .lui, rd: 5, imm: Int64(Layout.code)), Insn(op: .jalr, rs1: 5),
    ]
    var bytes: [UInt8] = []
    for insn in insns {
      let bits = Encoder.encode(insn) ?? 0
      withUnsafeBytes(of: bits.littleEndian) { bytes += $0 }
    }
    return bytes
  }()

  // MARK: Memory

  /// Adjoining pages are far apart and in another order.
  private func physical(_ va: UInt64) -> UInt64 {
    guard paged else { return va }
    let page = va >> 12
    return (page ^ 0x2a5) << 12 | va & 4095
  }

  private func map() {
    var next = Self.tables + 4096
    ram.store(Self.tables, (next >> 12) << 10 | 1)
    let middle = next
    next += 4096
    for region in 0..<Layout.end >> 21 {
      ram.store(middle + region * 8, (next >> 12) << 10 | 1)
      for page in 0..<UInt64(512) {
        // Accessed and dirty are for the walker to set.
        let va = region << 21 | page << 12
        ram.store(next + page * 8, (physical(va) >> 12) << 10 | 0xf)
      }
      next += 4096
    }
  }

  private func write(_ va: UInt64, _ bytes: [UInt8]) {
    var at = 0
    while at < bytes.count {
      let address = va + UInt64(at)
      let count = min(bytes.count - at, Int(4096 - address & 4095))
      ram.write(physical(address), Array(bytes[at..<at + count]))
      at += count
    }
  }

  private func read(_ va: UInt64, _ count: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      let address = va + UInt64(bytes.count)
      let part = min(count - bytes.count, Int(4096 - address & 4095))
      guard let some = ram.bytes(physical(address), part) else { return nil }
      bytes += some
    }
    return bytes
  }

  // MARK: Running

  /// Runs to the program's exit, for at most `limit` instructions.
  func run(limit: UInt64, slices: inout SplitMix, sliced: Bool) -> OurResult {
    // The hart does not keep this object any longer.
    defer { hart.observe(nil) }
    while !finished {
      guard hart.count < limit else {
        fail("does not end within \(limit) instructions")
        break
      }
      let target =
        sliced ? hart.count + UInt64(1 + slices.below(slices.once(in: 8) ? 200 : 9)) : limit
      let stop = hart.run(until: target)
      if stop == .budget, hart.count != target {
        fail("stopped at \(hart.count) and not at \(target)")
        break
      }
      if stop == .waiting {
        fail("waits")
        break
      }
    }
    // The start-up code is not the program's.
    result.count = hart.count - UInt64(Self.startup.count / 4)
    return result
  }

  private func fail(_ reason: String) {
    result.failure = reason
    finished = true
  }

  func call(from hart: Hart) {
    if hart.pc == Self.handler + 4 {
      let cause = isa.register("scause", hart) ?? 0
      let pc = isa.register("sepc", hart) ?? 0
      let value = isa.register("stval", hart) ?? 0
      fail("trap \(cause) at \(hex(pc)), stval \(hex(value))")
      hart.requestStop()
      return
    }
    switch hart.x[17] {
    case 64:
      let count = Int(truncatingIfNeeded: hart.x[12])
      guard count >= 0, count < 1 << 26, let bytes = read(hart.x[11], count) else {
        fail("writes from \(hex(hart.x[11])), \(count) bytes")
        hart.requestStop()
        return
      }
      result.output += bytes
      hart.x[10] = UInt64(count)
    case 94:
      finished = true
      hart.requestStop()
    default:
      fail("system call \(hart.x[17]) at \(hex(hart.pc &- 4))")
      hart.requestStop()
    }
  }

  func willExecute(_ pc: UInt64, on hart: Hart) {
    if keepsPath || hart.count != UInt64(seen) || hart.pc != pc { noteOddities(pc, hart) }
    seen += 1
    if pc >= Layout.code { result.path.append(pc) }
  }

  private func noteOddities(_ pc: UInt64, _ hart: Hart) {
    if hart.count != UInt64(seen), result.failure == nil {
      result.failure = "the observer is at \(seen) where the count is \(hart.count)"
    }
    if hart.pc != pc, result.failure == nil {
      result.failure = "the observer is told \(hex(pc)) where pc is \(hex(hart.pc))"
    }
  }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
