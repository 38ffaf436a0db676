import Testing

@testable import Engine
@testable import X86

/// Repeated string instructions where many iterations are done at once.
@Suite struct RepeatTests {
  private static let code: UInt64 = 0x1_0000, tables: UInt64 = 0x8000

  /// A hart with a megabyte of memory, all but the last page of it mapped.
  private func hart(_ engine: BackEnd, _ code: [UInt8]) throws -> Hart {
    let bench = try #require(TestHart(memory: 1 << 20, engine: engine))
    bench.enterPaged(pc: Self.code, tables: Self.tables)
    bench.ram.write(Self.code, code + [0xeb, 0xfe])
    return bench.hart
  }

  private func set(_ hart: Hart, source: UInt64, destination: UInt64, count: UInt64) {
    hart.x[Registers.slot(6)] = source
    hart.x[Registers.slot(7)] = destination
    hart.x[Registers.slot(1)] = count
  }

  private func bytes(_ hart: Hart, _ at: UInt64, _ count: Int) -> [UInt8] {
    (0..<UInt64(count)).map { hart.ram.load(at + $0, as: UInt8.self) ?? 0 }
  }

  /// What a store changed is what the next iterations load, and pages end in the middle.
  @Test(arguments: [BackEnd.interpreter, .jit], [1, 2, 4, 8, 3] as [UInt64])
  func overlappingMoves(engine: BackEnd, distance: UInt64) throws {
    for (size, code) in [(1, [0xf3, 0xa4]), (8, [0xf3, 0x48, 0xa5])] as [(Int, [UInt8])] {
      let hart = try hart(engine, code)
      let from: UInt64 = 0x5_0f00
      let total = 600 * size
      var expected = (0..<total + 64).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 >> 8) }
      hart.ram.write(from, expected)
      set(hart, source: from, destination: from + distance, count: 600)
      for element in 0..<600 {
        let value = Array(expected[element * size..<(element + 1) * size])
        for (index, byte) in value.enumerated() {
          expected[element * size + Int(distance) + index] = byte
        }
      }
      #expect(hart.run(until: 4) == .budget)
      #expect(hart.x[Registers.slot(1)] == 0)
      #expect(hart.x[Registers.slot(6)] == from + UInt64(total))
      #expect(hart.x[Registers.slot(7)] == from + distance + UInt64(total))
      #expect(bytes(hart, from, total + 64) == expected)
    }
  }

  /// More iterations than count as one instruction: a budget may end between.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func longFills(engine: BackEnd) throws {
    // rep stosw
    let hart = try hart(engine, [0xf3, 0x66, 0xab])
    hart.x[Registers.slot(0)] = 0xaaaa_1234
    set(hart, source: 0, destination: 0x5_0001, count: 5000)
    #expect(hart.run(until: 1) == .budget)
    #expect(hart.x[Registers.slot(1)] == 5000 - 4096)
    #expect(hart.x[Registers.slot(7)] == 0x5_0001 + 2 * 4096)
    #expect(hart.pc == Self.code)
    #expect(hart.run(until: 2) == .budget)
    #expect(hart.x[Registers.slot(1)] == 0)
    #expect(hart.pc == Self.code + 3)
    #expect(bytes(hart, 0x5_0000, 10_002) == [0] + (0..<5000).flatMap { _ in [0x34, 0x12] } + [0])
  }

  /// Downwards, and up to where nothing is mapped: what was done before the fault stays.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func faultInTheMiddle(engine: BackEnd) throws {
    // rep stosb
    let hart = try hart(engine, [0xf3, 0xaa])
    hart.x[Registers.slot(0)] = 0x77
    set(hart, source: 0, destination: 0xf_e800, count: 4000)
    _ = hart.run(until: 1)
    #expect(hart.x[Registers.slot(1)] == 4000 - 0x800)
    #expect(hart.x[Registers.slot(7)] == 0xf_f000)
    #expect(hart.x[SystemSlot.faultAddress] == 0xf_f000)
    #expect(bytes(hart, 0xf_e7ff, 0x801) == [0] + [UInt8](repeating: 0x77, count: 0x800))
    // std; rep movsb
    let down = try self.hart(engine, [0xfd, 0xf3, 0xa4])
    down.ram.write(0x5_0ff0, Array(1...32))
    set(down, source: 0x5_100f, destination: 0x6_100f, count: 32)
    #expect(down.run(until: 2) == .budget)
    #expect(bytes(down, 0x6_0ff0, 32) == Array(1...32))
    #expect(down.x[Registers.slot(6)] == 0x5_0fef)
  }
}
