import Engine
import Machine
import RISCV
import Testing

/// What another package's tests do with the library `Emu`: nothing here is but public.
@Suite struct Library {
  static let entry: UInt64 = 0x8000_0000

  /// Sums 1 to 10 in a0, then jumps to itself.
  static let sum = [
    Insn(op: .addi, rd: 10, imm: 0),
    Insn(op: .addi, rd: 11, imm: 10),
    Insn(op: .add, rd: 10, rs1: 10, rs2: 11),  // loop:
    Insn(op: .addi, rd: 11, rs1: 11, imm: -1),
    Insn(op: .bne, rs1: 11, rs2: 0, imm: -8),
    Insn(op: .jal),
  ]

  private func bytes(_ insns: [Insn]) throws -> [UInt8] {
    try insns.flatMap { insn in
      let bits = try #require(Encoder.encode(insn))
      return (0..<UInt32(insn.length)).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
    }
  }

  @Test func encodingsRoundTrip() throws {
    for insn in Self.sum {
      #expect(Decoder.decode(try #require(Encoder.encode(insn))) == insn)
    }
  }

  @Test func aHartOfOnesOwn() throws {
    let ram = try #require(PhysicalMemory(base: 0x1000, size: 0x1000))
    #expect(ram.write(0x1000, try bytes(Self.sum)))
    let isa = RV64()
    let hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa, cacheModel: .coherent, tlbCount: RV64.tlbCount)
    isa.reset(hart, pc: 0x1000)
    #expect(hart.run(until: 7) == .budget)
    #expect(hart.count == 7)
    #expect(hart.pc == 0x1010)
    #expect(hart.x[10] == 19)
    #expect(hart.x[11] == 8)
    #expect(hart.run(until: 32) == .budget)
    #expect(hart.pc == 0x1014)
    #expect(hart.x[10] == 55)
    #expect(hart.x[Slot.exceptions] == 0)
    #expect(isa.register("mhartid", hart) == 0)
  }

  /// Every stop is exact, and stops change nothing.
  @Test func aBoardStoppedAtEachCount() throws {
    let image = try BareImage(bytes(Self.sum), loadAddress: Self.entry)
    let console = TypedConsole()
    let configuration = BareConfiguration()
    let machine = try #require(BareMachine(configuration, console: console, startOfRun: 0))
    #expect(image.load(into: machine.ram) == nil)
    machine.enterMachineMode(image.entry)
    var sums: [UInt64] = []
    for count in UInt64(1)...40 {
      #expect(machine.run(limit: count) == .limit)
      #expect(machine.count == count)
      sums.append(machine.harts[0].x[10])
    }
    #expect(sums[2] == 10)
    #expect(sums[5] == 19)
    #expect(sums.last == 55)
    #expect(machine.harts[0].pc == Self.entry + 20)
    #expect(console.output.isEmpty)
  }

  final class Watcher: InsnObserver {
    var seen: [UInt64] = []
    func willExecute(_ pc: UInt64, on hart: Hart) { seen.append(pc) }
  }

  @Test func anObserverSeesEachInstruction() throws {
    let image = try BareImage(bytes(Self.sum), loadAddress: Self.entry)
    let machine = try #require(
      BareMachine(BareConfiguration(), console: TypedConsole(), startOfRun: 0))
    #expect(image.load(into: machine.ram) == nil)
    machine.enterMachineMode(image.entry)
    let watcher = Watcher()
    machine.harts[0].observe(watcher)
    #expect(machine.run(limit: 8) == .limit)
    #expect(watcher.seen.map { $0 - Self.entry } == [0, 4, 8, 12, 16, 8, 12, 16])
  }

  @Test func anImageThatDoesNotFit() throws {
    let image = try BareImage([1, 2, 3, 4], loadAddress: 0x1000)
    let machine = try #require(
      BareMachine(BareConfiguration(), console: TypedConsole(), startOfRun: 0))
    #expect(image.load(into: machine.ram)?.contains("is not in RAM") == true)
  }
}
