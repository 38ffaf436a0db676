import Engine
import X86

/// x86-64's: programs alone.
final class X86Check: CheckTarget {
  private let x86 = X64()
  private let facts = X86TraceISA()
  var isa: any GuestISA { x86 }
  var trace: any TraceISA { facts }
  var tlbCount: Int { X64.tlbCount }
  let compared = X86TraceISA.program

  func prepare(_ hart: Hart, pc: UInt64, mode: Int?) { x86.reset(hart, pc: pc) }
  func setMode(_ hart: Hart, _ mode: Int) {}

  /// Time, random numbers, and what the manual gives an error bound for.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Transcendental Instruction Accuracy'; volume 2, 'RCPPS'.
  func isVolatile(_ bytes: [UInt8]) -> Bool {
    switch facts.op(bytes) {
    case .rdtsc, .rdtscp, .rdpid, .rdpmc, .rcpps, .rcpss, .rsqrtps, .rsqrtss, .f2xm1, .fyl2x,
      .fyl2xp1, .fptan, .fpatan, .fsin, .fcos, .fsincos:
      true
    default: false
    }
  }

  let skipsSystemCalls = true
  func mayTrap(_ bytes: [UInt8]) -> Bool { false }
  func systemRegister(_ bytes: [UInt8]) -> Int? { nil }
  let trapRegisters: [Int] = []

  func undefined(_ slot: Int, _ bytes: [UInt8], before: [UInt64]) -> UInt64 {
    // The second of them is RCX.
    facts.undefined(slot, bytes, rcx: before[1])
  }

  /// MXCSR_MASK, where AMD's has a bit for misaligned operands; XSTATE_BV, as a processor may say that
  /// state is in use which has its first values.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Guidelines for Writing to the MXCSR Register'; AMD64 Architecture
  ///   Programmer's Manual volume 2, 'MXCSR Register'; Intel SDM volume 1, 'Processor Tracking of
  ///   XSAVE-Managed State'.
  func makersOwn(_ bytes: [UInt8], storedFrom lowest: UInt64) -> [Range<UInt64>] {
    guard lowest <= .max - 1024 else { return [] }
    // The image is aligned; without x87's part its first bytes are left alone.
    let image = lowest & ~63
    return switch facts.op(bytes) {
    case .fxsave: [lowest + 28..<lowest + 32]
    case .xsave, .xsaveopt: [image + 28..<image + 32, image + 512..<image + 520]
    default: []
    }
  }

  func repeats(_ bytes: [UInt8]) -> Bool { facts.repeats(bytes) }
  /// RCX.
  let repeatCounter = Registers.slot(1)
}
