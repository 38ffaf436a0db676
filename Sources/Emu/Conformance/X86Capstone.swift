import ArgumentParser
import CHostX86
import Foundation
import X86

/// Lengths and mnemonics of random instances of every row, ours and libcapstone's.
struct X86Capstone {
  let seed: UInt64
  let count: UInt64
  let rows: [Int]

  func run() throws {
    var rng = SplitMix(seed: seed)
    var differing: [Int: String] = [:]
    var done: UInt64 = 0
    var compared: UInt64 = 0
    while done < count {
      let number = rows[Int(done % UInt64(rows.count))]
      done += 1
      let row = Encodings.allRows[number]
      let bytes = row.sample(using: &rng, allPrefixes: false)
      guard case .insn(let insn) = Decoder.decode(bytes) else { continue }
      if Self.isBeyondCapstone(insn, row) { continue }
      var mnemonic = [CChar](repeating: 0, count: 33)
      var operands = [CChar](repeating: 0, count: 161)
      let length = hostx86_disassemble(bytes, bytes.count, 0x1000, &mnemonic, &operands)
      guard length >= 0 else {
        throw ToolError(description: "no libcapstone.so.4: install libcapstone4", status: 3)
      }
      compared += 1
      let name = Self.plain(
        String(decoding: mnemonic.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
      let ours = Self.plain(Disassembler.mnemonic(insn))
      if length == Int(insn.length), Self.equal(name, ours) { continue }
      if differing[number] == nil {
        let hexBytes = bytes.map { String(format: "%02x", $0) }.joined(separator: " ")
        differing[number] =
          "[\(hexBytes)] row \(row.pattern) : \(row.operandText): \(insn.length) \(ours), "
          + "capstone \(length) \(name)"
      }
    }
    for line in differing.keys.sorted().compactMap({ differing[$0] }) { print(line) }
    print("\(compared) instances of \(rows.count) rows; \(differing.count) rows differ")
    if !differing.isEmpty { throw ExitCode(1) }
  }

  /// What capstone 4.0.2 gets wrong, reviewed against the manual: 66 67, 64 or 65 together with F2, F3 or
  /// 66; a selector register that there is not; a ModRM register form of the reserved no-ops and of the undefined opcodes; CET;
  /// 256-bit AES and PCLMULQDQ; JECXZ with a segment; RDPID, CLWB and CLFLUSHOPT; VBROADCASTI128; a 16-bit selector stored with 66.
  private static func isBeyondCapstone(_ insn: Insn, _ row: Row) -> Bool {
    let repeats = !insn.prefixes.isDisjoint(with: [.rep, .repne])
    let mandatory = repeats || insn.prefixes.contains(.operandSize)
    if repeats && insn.prefixes.contains(.operandSize) { return true }
    if mandatory && !insn.prefixes.isDisjoint(with: [.addressSize, .fs, .gs]) { return true }
    if insn.op == .mov_from_seg && insn.reg > 5 { return true }
    // A load of CS is #UD: here when it is executed, there when it is decoded. REX.R is ignored.
    if insn.op == .mov_to_seg && (insn.reg == 1 || insn.reg > 5) { return true }
    switch insn.op {
    case .aesenc, .aesenclast, .aesdec, .aesdeclast, .pclmulqdq:
      return insn.prefixes.contains(.vex256)
    case .jrcxz: return insn.prefixes.isSuperset(of: .addressSize)
    case .nop:
      return (0x19...0x1f).contains(insn.opcode) && !insn.hasMemory
        || row.mnemonic.hasPrefix("endbr")
    case .rdpid: return true
    case .broadcastdq: return row.mnemonic == "vbroadcasti128"
    case .clflush: return insn.prefixes.contains(.operandSize)
    case .ud: return row.operands.count > 0
    default: return false
    }
  }

  /// Without prefixes that are printed as words.
  private static func plain(_ text: String) -> String {
    String(text.split(separator: " ").last ?? "")
  }

  /// Names of one instruction, and what capstone 4 gets wrong.
  private static func equal(_ theirs: String, _ ours: String) -> Bool {
    if theirs == ours { return true }
    let same: [String: Set<String>] = [
      // Capstone prints the assembler's name.
      "sal": ["shl"], "wait": ["fwait"], "movabs": ["mov"],
      "fneni": ["feni8087_nop"], "fndisi": ["fdisi8087_nop"], "fnsetpm": ["fsetpm"],
      "vcvtpd2ps": ["vcvtpd2psx"], "vcvttpd2dq": ["vcvttpd2dqx"], "vcvtpd2dq": ["vcvtpd2dqx"],
      // The assembler's name says the operand size; the manual and capstone have one name.
      "sysretq": ["sysret"],
      // Of 64 bits to an MMX register, by its name of 32.
      "movq": ["movd"],
    ]
    // The predicate is part of the assembler's name.
    for suffix in ["ps", "pd", "ss", "sd"] where ours.hasSuffix("cmp" + suffix) {
      return theirs.hasPrefix(ours.dropLast(2)) && theirs.hasSuffix(suffix)
    }
    return same[ours]?.contains(theirs) ?? false
  }
}
