/// What announces an instruction: the leaf-and-bit facts are in `CPUID.swift`.
public enum Feature: String, CaseIterable, Sendable {
  case base = "x86-64"
  case cx8, cmov, cx16, lahf, popcnt, abm, movbe, bmi1, bmi2, adx, fsgsbase, rdtscp, rdpid
  case sse, sse2, sse3, ssse3, sse41, sse42, aes, pclmulqdq, fxsr, xsave, clfsh, clflushopt, clwb
  case fpu, mmx, avx, avx2, fma, f16c, vaes, vpclmulqdq, sha, smap, invpcid
  case rdrand, rdseed
}

/// What else there is to know about a family of rows.
public struct Traits: OptionSet, Sendable {
  /// One bit per trait.
  public let rawValue: UInt16
  /// Makes a set from its bits.
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// LOCK is allowed where the destination is memory.
  public static let lock = Traits(rawValue: 1 << 0)
  /// The operand size is 64 bits unless 66 makes it 16 (the manual's d64).
  public static let default64 = Traits(rawValue: 1 << 1)
  /// The operand size is 64 bits whatever the prefixes (the manual's f64).
  public static let force64 = Traits(rawValue: 1 << 2)
  /// Always leaves the straight line.
  public static let jump = Traits(rawValue: 1 << 3)
  /// May leave the straight line.
  public static let branch = Traits(rawValue: 1 << 4)
  /// Repeats under F2 or F3.
  public static let string = Traits(rawValue: 1 << 5)
  /// The flags after it depend on a count, which may be zero and then changes none.
  public static let counted = Traits(rawValue: 1 << 6)
  /// Its 128-bit memory operand must be aligned.
  public static let aligned = Traits(rawValue: 1 << 7)
  /// Its memory operand is read and written.
  public static let modifies = Traits(rawValue: 1 << 8)
  /// What it does depends on more than the registers and memory of a program: on system registers,
  /// on x87's state.
  public static let system = Traits(rawValue: 1 << 9)
}

/// One encoding: decoder, disassembler, lift and the conformance generator read it.
///
/// The notation is that of the manual's opcode map and instruction pages. A pattern is of words:
///
/// - `NP`, `66`, `F2`, `F3`: this mandatory prefix, or none; `NFx`: neither F2 nor F3.
/// - `o16`, `o32`, `o64`: only with this effective operand size; `W0`, `W1`: of REX.W or VEX.W.
/// - `B=0`: only with REX.B clear.
/// - `VEX`, `L0`, `L1`: only behind C4 or C5, with that VEX.L.
/// - bytes of the opcode; `B8+` takes a register in the low three bits, `70+cc` a condition in the low
///   four (sixteen rows).
/// - `/0` to `/7`: ModRM.reg; `/F9`: the whole ModRM byte.
///
/// An operand is the manual's letter for where and its letters for what: `E` register or memory by
/// ModRM.rm, `G` register by ModRM.reg, `M` memory only, `R` register only, `Z` register in the
/// opcode, `B` register by VEX.vvvv, `I` immediate, `J` relative, `O` offset, `X` and `Y` string
/// source and destination, `C D` control and debug registers, `V W U H` vector registers, `P Q N` MMX
/// registers, `ST` and `STi` x87 registers; `b w d q v y z` sizes, `p` a far pointer, `s` limit and base of a
/// table, `dq x ps pd ss sd` vector sizes, `vx vd` elements that a vector of indices names (`vd`: always of 128
/// bits), `mb mw` a byte or word of memory or a 32-bit register, `bs` a byte that is sign-extended to the operand size.
///
/// - SeeAlso: Intel SDM volume 2, 'Opcode Map', 'Key to Abbreviations' and 'Instruction Column in the
///   Instruction Summary Table'.
public struct Row: Sendable {
  /// What it does.
  public let op: Op
  /// The manual's name.
  public let mnemonic: String
  /// The pattern, in the words above.
  public let pattern: String
  /// The operands as written.
  public let operandText: String
  /// The operands.
  public let operands: [Operand]
  /// The flags that it touches.
  public let flags: FlagEffect
  /// Who announces it; and who announces it with operands of 256 bits.
  public let feature: Feature, wideFeature: Feature
  /// What else there is to know.
  public let traits: Traits
  let match: Match
}

/// What a family of rows does to the status flags, as the manual's cross-reference prints it: in the
/// order OF SF ZF AF PF CF a letter each: `M` set by the result, `T` tested, `B` both, `0`, `1`, `-`
/// undefined, `.` left alone.
///
/// - SeeAlso: Intel SDM volume 1, 'EFLAGS Cross-Reference'.
public struct FlagEffect: Sendable {
  /// Flags that it reads.
  public private(set) var tested: UInt64 = 0
  /// Flags that it gives a value, undefined ones included.
  public private(set) var written: UInt64 = 0
  /// Flags that have no defined value after it.
  public private(set) var undefined: UInt64 = 0

  init(_ text: String) {
    let bits: [UInt64] = [0x800, 0x80, 0x40, 0x10, 4, 1]
    precondition(text.count == 6, text)
    for (letter, bit) in zip(text, bits) {
      switch letter {
      case ".": break
      case "T": tested |= bit
      case "B":
        tested |= bit
        written |= bit
      case "M", "0", "1": written |= bit
      case "-":
        written |= bit
        undefined |= bit
      default: preconditionFailure(text)
      }
    }
  }
}

/// Rows of one meaning.
struct Family {
  let op: Op
  let mnemonic: String
  let flags: FlagEffect
  let traits: Traits
  let feature: Feature, wideFeature: Feature
  let rows: [String]

  /// A row is `pattern : operands`, or `pattern : operands : mnemonic`.
  init(
    _ op: Op, _ mnemonic: String, _ flags: String = "......", _ traits: Traits = [],
    _ feature: Feature = .base, wide: Feature? = nil, rows: String...
  ) {
    self.op = op
    self.mnemonic = mnemonic
    self.flags = FlagEffect(flags)
    self.traits = traits
    self.feature = feature
    wideFeature = wide ?? feature
    self.rows = rows
  }

  init(
    _ op: Op, _ mnemonic: String, _ flags: String = "......", feature: Feature,
    wide: Feature? = nil, rows: String...
  ) {
    self.op = op
    self.mnemonic = mnemonic
    self.flags = FlagEffect(flags)
    traits = []
    self.feature = feature
    wideFeature = wide ?? feature
    self.rows = rows
  }

  /// Adds its rows to `all`; `known` has what operands were read before.
  ///
  /// By bytes, and each text of operands once: the rows are read whenever an x86-64 guest starts.
  func make(_ all: inout [Row], known: inout [String: [Operand]]) {
    for text in rows { make(text, &all, &known) }
  }

  private static func trimmed(_ text: Substring.UTF8View) -> String {
    let space = UInt8(ascii: " ")
    guard let first = text.firstIndex(where: { $0 != space }),
      let last = text.lastIndex(where: { $0 != space })
    else { return "" }
    return String(Substring(text[first...last]))
  }

  private func make(_ text: String, _ all: inout [Row], _ known: inout [String: [Operand]]) {
    let parts = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      .map { Self.trimmed($0) }
    precondition(parts.count == 2 || parts.count == 3, text)
    let name = parts.count == 3 ? parts[2] : mnemonic
    let operands: [Operand]
    if let before = known[parts[1]] {
      operands = before
    } else {
      operands = parts[1].split(separator: ",").map { Operand(String($0)) }
      known[parts[1]] = operands
    }
    func row(_ pattern: String, _ name: String, _ effect: FlagEffect) -> Row {
      Row(
        op: op, mnemonic: name, pattern: pattern, operandText: parts[1], operands: operands,
        flags: effect, feature: feature, wideFeature: wideFeature, traits: traits,
        match: Match(pattern, operands: operands))
    }
    guard let range = parts[0].firstRange(of: "0+cc") else {
      all.append(row(parts[0], name, flags))
      return
    }
    for (number, suffix) in Condition.names.enumerated() {
      let digit = String(number, radix: 16, uppercase: true)
      all.append(
        row(
          parts[0].replacingCharacters(range, with: digit), name + suffix,
          FlagEffect(Condition.tests[number / 2])))
    }
  }
}

extension String {
  fileprivate func firstRange(of text: String) -> Range<Index>? {
    guard utf8.contains(UInt8(ascii: "+")) else { return nil }
    for at in utf8.indices where utf8[at...].starts(with: text.utf8) {
      return at..<utf8.index(at, offsetBy: text.utf8.count)
    }
    return nil
  }

  fileprivate func replacingCharacters(_ range: Range<Index>, with text: String) -> String {
    self[..<range.lowerBound] + text + self[range.upperBound...]
  }
}

/// The sixteen conditions.
///
/// - SeeAlso: Intel SDM volume 1, 'EFLAGS Condition Codes'.
enum Condition {
  static let names = [
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
  ]
  /// What each pair of them tests.
  static let tests = [
    "T.....", ".....T", "..T...", "..T..T", ".T....", "....T.", "TT....", "TTT...",
  ]
}

/// Every row there is.
public enum Encodings {
  /// The rows, where two could match in the order in which they are tried.
  public static let allRows: [Row] = rows(of: [
    transfer, arithmetic, shifts, bits, control, strings, system, privileged, float,
    vectorMoves, vectorIntegers, hashes, mmx, x87, avxMoves, avxLanes, fma,
  ])

  /// The rows of families.
  static func rows(of families: [[Family]]) -> [Row] {
    var all: [Row] = []
    all.reserveCapacity(1500)
    var known: [String: [Operand]] = [:]
    for group in families { for family in group { family.make(&all, known: &known) } }
    return all
  }
}
