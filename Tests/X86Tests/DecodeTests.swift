import Testing

@testable import X86

@Suite struct DecodeTests {
  private struct Generator: RandomNumberGenerator {
    var state: UInt64 = 1
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 29
    }
  }

  @Test func everySampleIsOfItsRow() {
    var rng = Generator()
    for (number, row) in Encodings.allRows.enumerated() where row.pattern != "90+" {
      for _ in 0..<40 {
        let bytes = row.sample(using: &rng, allPrefixes: false)
        guard bytes.count <= 15 else { continue }
        guard case .insn(let insn) = Decoder.decode(bytes) else {
          Issue.record("\(row.pattern) \(row.operandText): \(bytes) is nothing")
          continue
        }
        #expect(Int(insn.row) == number, "\(row.pattern): \(bytes)")
        #expect(Int(insn.length) == bytes.count)
        #expect(!Disassembler.text(insn, pc: 0).isEmpty)
      }
    }
  }

  @Test func everyPrefixOfAnInstructionIsTruncated() {
    var rng = Generator()
    for row in Encodings.allRows {
      let bytes = row.sample(using: &rng, allPrefixes: false)
      guard bytes.count <= 15 else { continue }
      for count in 0..<bytes.count {
        guard case .truncated = Decoder.decode(Array(bytes[..<count])) else {
          Issue.record("\(row.pattern): \(bytes[..<count])")
          continue
        }
      }
    }
  }

  @Test func randomBytesAreSomething() {
    var rng = Generator()
    for _ in 0..<100_000 {
      let bytes = (0..<15).map { _ in UInt8(truncatingIfNeeded: rng.next() >> 20) }
      switch Decoder.decode(bytes) {
      case .insn(let insn): #expect((1...15).contains(insn.length))
      case .truncated: Issue.record("\(bytes) lacks bytes")
      case .undefined, .tooLong: break
      }
    }
  }

  @Test func fifteenBytesAtMost() {
    let long = [UInt8](repeating: 0x2e, count: 14) + [0x90]
    guard case .insn(let insn) = Decoder.decode(long) else {
      Issue.record("fifteen are allowed")
      return
    }
    #expect(insn.length == 15)
    guard case .tooLong = Decoder.decode([0x2e] + long) else {
      Issue.record("sixteen are not")
      return
    }
  }

  @Test(
    arguments: [
      [0x06], [0x0e], [0x27], [0x37], [0x60], [0x62, 0xf1, 0x7c, 0x48, 0x10, 0xc0], [0x9a],
      [0xd4, 0x0a], [0xd6], [0xea], [0xf0, 0x90], [0xf0, 0x01, 0xc0], [0x66, 0xc5, 0xf8, 0x77],
      [0x48, 0xc5, 0xf8, 0x58, 0xc0], [0xc4, 0xe0, 0x78, 0x58, 0xc0],
    ] as [[UInt8]])
  func undefined(bytes: [UInt8]) {
    guard case .undefined = Decoder.decode(bytes + [0, 0, 0, 0, 0, 0, 0, 0]) else {
      Issue.record("\(bytes)")
      return
    }
  }

  @Test func aRexThatIsNotLastCountsForNothing() {
    guard case .insn(let insn) = Decoder.decode([0x48, 0x66, 0x01, 0xd8]) else {
      Issue.record("not decoded")
      return
    }
    #expect(insn.size == 2)
    #expect(Disassembler.text(insn, pc: 0) == "add ax, bx")
  }
}
