import CHostX86
import X86

/// One instance: an instruction, and the state that it meets.
struct X86Case {
  let row: Int
  let insn: Insn
  /// Flags without a defined value after it.
  let undefinedFlags: UInt64
}

/// An instance in the memory shared with the child.
struct X86Instance {
  let c: UnsafeMutablePointer<hostx86_instance>

  init(_ batch: UnsafeMutablePointer<hostx86_batch>, _ index: Int) {
    c = hostx86_at(batch, Int32(index))
  }

  var before: X86State { X86State(raw: UnsafeMutableRawPointer(c)) }
  var after: X86State {
    X86State(
      raw: UnsafeMutableRawPointer(c) + (MemoryLayout<hostx86_instance>.offset(of: \.after) ?? 0))
  }
  private var codeBytes: UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(c) + (MemoryLayout<hostx86_instance>.offset(of: \.code) ?? 0)
  }

  func setCode(_ bytes: [UInt8]) {
    // A sixteenth byte would never be looked at.
    for (index, byte) in bytes.prefix(16).enumerated() {
      codeBytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
    }
    c.pointee.codeLength = UInt32(min(bytes.count, 16))
  }

  var code: [UInt8] {
    (0..<Int(c.pointee.codeLength)).map { codeBytes.load(fromByteOffset: $0, as: UInt8.self) }
  }

  func line(_ index: Int) -> Int { Int(hostx86_line(c, Int32(index))) }
  func lineBytes(_ index: Int) -> UnsafeMutableRawPointer { hostx86_line_bytes(c, Int32(index)) }
}

/// A `hostx86_state`.
struct X86State {
  let raw: UnsafeMutableRawPointer

  var c: UnsafeMutablePointer<hostx86_state> { raw.assumingMemoryBound(to: hostx86_state.self) }
  var gpr: UnsafeMutablePointer<UInt64> { raw.assumingMemoryBound(to: UInt64.self) }
  var vectors: UnsafeMutablePointer<UInt64> { hostx86_ymm(c) }
  var stack: UnsafeMutablePointer<UInt64> { hostx86_st(c) }
}
