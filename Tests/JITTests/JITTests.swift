import Fuzz
import Testing

@testable import Engine
@testable import RISCV

@Suite(.enabled(if: BackEnd.obstacle == nil)) struct JITTests {
  /// Random code on both back ends; a failure is one line that repeats it.
  @Test func aHundredThousandStops() throws {
    let fuzzer = Fuzzer(.engine, seed: 2, images: [])
    var stops: UInt64 = 0
    var number: UInt64 = 0
    while stops < 100_000 {
      do throws(FuzzFailure) {
        stops += try fuzzer.run(number)
      } catch {
        Issue.record("emu-conformance fuzz --part engine --seed 2 --case \(number): \(error)")
        return
      }
      number += 1
    }
  }

  private static func add(_ rd: UInt8, _ rs1: UInt8, _ imm: Int64) -> Insn {
    Insn(op: .addi, rd: rd, rs1: rs1, imm: imm)
  }

  private static let breakpoint = Insn(op: .ebreak)

  /// A loop that adds, loads and stores, with a diamond in it.
  private static let loop: [Insn] = [
    add(10, 10, 3), Insn(op: .ld, rd: 11, rs1: 8), Insn(op: .add, rd: 11, rs1: 11, rs2: 10),
    Insn(op: .andi, rd: 13, rs1: 10, imm: 1), Insn(op: .beq, rs1: 13, rs2: 0, imm: 12),
    Insn(op: .sd, rs1: 8, rs2: 11, imm: 8), Insn(op: .jal, imm: 8),
    Insn(op: .sd, rs1: 8, rs2: 11), add(12, 12, 1), Insn(op: .jal, imm: -36),
  ]

  /// Breaks armed and disarmed in a hot loop, by stores from outside, at every instruction of it.
  @Test func breaksComeAndGo() throws {
    for (name, options) in Forced.all {
      let twins = try Twins(options)
      twins.put(Twins.code, Self.loop)
      twins.set(8, Twins.data)
      twins.step(500, name)
      for (index, insn) in Self.loop.enumerated() {
        let at = Twins.code + UInt64(index * 4)
        twins.put(at, [Self.breakpoint])
        twins.step(97, "\(name), armed at \(index)")
        twins.put(at, [insn])
        twins.step(101, "\(name), disarmed at \(index)")
      }
      #expect(twins.jit.x[31] > 0)
      if options.codeBytes > 1 << 13 { #expect(twins.jit.blocksTranslated > 10) }
    }
  }

  /// A loop that patches itself a few instructions ahead, every turn, and in its own block.
  @Test func aLoopPatchesItself() throws {
    let one = try #require(Encoder.encode(Self.add(10, 10, 1)))
    let two = try #require(Encoder.encode(Self.add(10, 10, 2)))
    for (name, options) in Forced.all {
      for gap in [0, 1, 7] {
        let twins = try Twins(options)
        let at = Twins.code + UInt64(4 + gap + 1) * 4
        twins.set(5, UInt64(one))
        twins.set(6, UInt64(two))
        twins.set(7, at)
        let swap = [
          Insn(op: .sw, rs1: 7, rs2: 5), Insn(op: .xor, rd: 5, rs1: 5, rs2: 6),
          Insn(op: .xor, rd: 6, rs1: 6, rs2: 5), Insn(op: .xor, rd: 5, rs1: 5, rs2: 6),
        ]
        let filler = [Insn](repeating: Self.add(12, 12, 1), count: gap + 1)
        twins.put(
          Twins.code,
          swap + filler + [Self.add(10, 10, 1), Insn(op: .jal, imm: -Int64(4 * (6 + gap)))])
        for _ in 0..<60 { twins.step(7, "\(name), gap \(gap)") }
        twins.step(1000, "\(name), gap \(gap)")
      }
    }
  }

  /// Accesses that fault in the middle of a block, at every place of it: the next page is not
  /// memory; unaligned ones reach into it in part.
  @Test func faultsInTheMiddle() throws {
    for (name, options) in Forced.all {
      for place in 0..<12 {
        for access in [
          Insn(op: .ld, rd: 11, rs1: 9), Insn(op: .sd, rs1: 9, rs2: 10),
          Insn(op: .fld, rd: 1, rs1: 9),
          Insn(op: .lw, rd: 9, rs1: 9, imm: -1), Insn(op: .sh, rs1: 9, rs2: 9, imm: 3),
        ] {
          let twins = try Twins(options)
          var body: [Insn] = []
          for index in UInt8(0)..<12 {
            body.append(Self.add(10 + index % 8, 10 + (index + 3) % 8, 1))
          }
          body.insert(access, at: place)
          body.append(Insn(op: .jal, imm: -Int64(4 * body.count)))
          twins.put(Twins.code, body)
          twins.set(9, Twins.data + 8)
          twins.step(100, name)
          twins.set(9, Twins.size - 3)
          twins.step(101, "\(name), at \(place)")
          twins.set(9, Twins.data + 4093)
          twins.step(57, "\(name), at \(place)")
        }
      }
    }
  }

  /// Products that round up to the least normal number underflow; those that are exactly it do not.
  @Test func theLeastNormalNumber() throws {
    let least: UInt64 = 1 << 52
    let values: [UInt64] = [
      least, 0x3fef_ffff_ffff_ffff, 0x3ff0 << 48, 0x3fe0 << 48, least + 1, 2 * least, 0, 1 << 63,
      0x7ff0 << 48, 0x7ff8 << 48, 1, 0x7fef_ffff_ffff_ffff, 0x4000 << 48,
    ]
    for (name, options) in Forced.all {
      let twins = try Twins(options)
      var body: [Insn] = []
      for (index, op) in [Op.fmul_d, .fdiv_d, .fadd_d, .fsub_d, .fmadd_d, .fnmsub_d].enumerated() {
        body.append(
          Insn(
            op: op, rd: UInt8(3 + index), rs1: 1, rs2: 2,
            rs3: op == .fmadd_d || op == .fnmsub_d ? 2 : 0, rm: 7))
      }
      body.append(Insn(op: .fsqrt_d, rd: 20, rs1: 1, rm: 7))
      body.append(Insn(op: .jal, imm: -Int64(4 * body.count)))
      twins.put(Twins.code, body)
      for a in values {
        for b in values {
          for flags in [UInt64(0), 1] {
            twins.set(Slot.fp + 1, a)
            twins.set(Slot.fp + 2, b)
            twins.set(Slot.fpFlags, flags)
            twins.step(16, "\(name), \(a) and \(b)")
          }
        }
      }
    }
  }

  /// An observer that comes and goes sees every instruction once, in both.
  @Test func observersSeeEverything() throws {
    final class Path: InsnObserver {
      var pcs: [UInt64] = []
      func willExecute(_ pc: UInt64, on hart: Hart) {
        pcs.append(pc)
        if hart.pc != pc { pcs.append(.max) }
      }
    }
    for (name, options) in Forced.all {
      let twins = try Twins(options)
      twins.put(Twins.code, Self.loop)
      twins.set(8, Twins.data)
      for turn in 0..<6 {
        let paths = [Path(), Path()]
        for (hart, path) in zip(twins.harts, paths) { hart.observe(turn % 2 == 1 ? path : nil) }
        twins.step(203, name)
        #expect(paths[0].pcs == paths[1].pcs, "\(name)")
        if turn % 2 == 1 { #expect(paths[1].pcs.count == 203, "\(name)") }
      }
    }
  }
}
