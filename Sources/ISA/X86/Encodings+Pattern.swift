/// Where an operand is.
public enum OperandPlace: UInt8, Sendable {
  case rm, reg, memory, rmRegister, opcodeRegister, vvvv, immediate, relative, offset
  case stringSource, stringDestination, one, fixed, segment
  case vectorReg, vectorRm, vectorRmRegister, vectorVvvv, vectorImmediate
  case mmxReg, mmxRm, mmxRmRegister, stack, stackTop, control, debug, fixedSegment
  case farPointer
}

/// How large an operand is.
public enum OperandType: UInt8, Sendable {
  case none, b, w, d, q, v, y, z, bs, dq, x, qq, t, ps, pd, ss, sd, h, far, mb, mw, vx, vd

  /// The bytes in an instruction.
  func bytes(_ insn: Insn) -> UInt8 {
    switch self {
    case .none: 0
    case .b: 1
    case .w, .h: 2
    case .d, .ss: 4
    case .q, .sd: 8
    case .v, .bs: insn.size
    case .y: insn.prefixes.contains(.wide) ? 8 : 4
    case .z: min(insn.size, 4)
    case .dq: 16
    case .x, .ps, .pd: insn.prefixes.contains(.vex256) ? 32 : 16
    case .qq: 32
    case .t: 10
    case .far: insn.size + 2
    case .mb: insn.rmIsRegister ? 4 : 1
    case .mw: insn.rmIsRegister ? 4 : 2
    case .vx, .vd: insn.prefixes.contains(.wide) ? 8 : 4
    }
  }
}

/// One operand of a row.
public struct Operand: Sendable {
  /// Where it is.
  public let place: OperandPlace
  /// How large it is.
  public let type: OperandType
  /// The register of a fixed operand.
  public let register: UInt8
  /// As written.
  public let text: String

  private static let fixed: [String: (UInt8, OperandType)] = [
    "AL": (0, .b), "CL": (1, .b), "AX": (0, .w), "DX": (2, .w), "EAX": (0, .d), "RAX": (0, .q),
    "rAX": (0, .v), "rDX": (2, .v), "XMM0": (0, .dq),
  ]
  private static let places: [Character: OperandPlace] = [
    "E": .rm, "G": .reg, "M": .memory, "R": .rmRegister, "Z": .opcodeRegister, "B": .vvvv,
    "I": .immediate, "J": .relative, "O": .offset, "X": .stringSource, "Y": .stringDestination,
    "S": .segment, "V": .vectorReg, "W": .vectorRm, "U": .vectorRmRegister, "H": .vectorVvvv,
    "L": .vectorImmediate, "P": .mmxReg, "Q": .mmxRm, "N": .mmxRmRegister,
    "C": .control, "D": .debug, "A": .farPointer,
  ]
  private static let types: [Substring: OperandType] = [
    "": .none, "b": .b, "w": .w, "d": .d, "q": .q, "v": .v, "y": .y, "z": .z, "bs": .bs,
    "dq": .dq, "x": .x, "qq": .qq, "t": .t, "ps": .ps, "pd": .pd, "ss": .ss, "sd": .sd, "h": .h,
    "mb": .mb, "mw": .mw, "vx": .vx, "vd": .vd, "p": .far, "s": .t,
  ]

  init(_ text: String) {
    self.text = text
    if let (register, type) = Self.fixed[text] {
      self.register = register
      self.type = type
      place = text == "XMM0" ? .vectorImmediate : .fixed
      return
    }
    if let segment = ["ES", "CS", "SS", "DS", "FS", "GS"].firstIndex(of: text) {
      place = .fixedSegment
      type = .w
      register = UInt8(segment)
      return
    }
    register = 0
    if text == "ST" || text == "STi" {
      type = .t
      place = text == "ST" ? .stackTop : .stack
      return
    }
    if text == "1" {
      place = .one
      type = .b
      return
    }
    guard let first = text.first, let found = Self.places[first] else { preconditionFailure(text) }
    place = found
    guard let kind = Self.types[text.dropFirst()] else { preconditionFailure(text) }
    type = kind
  }
}

/// A row's pattern, read.
///
/// A pattern that does not read is a mistake in a table and stops the first use of any row.
struct Match: Sendable {
  enum Prefix: UInt8, Sendable { case any, none, noRep, p66, pF3, pF2 }
  enum Form: UInt8, Sendable { case any, memory, register }

  private(set) var prefix = Prefix.any
  /// 0: any; else 2, 4 or 8.
  private(set) var size: UInt8 = 0
  /// 0: any; 1: clear; 2: set.
  private(set) var wide: UInt8 = 0
  private(set) var noB = false
  private(set) var vex = false
  private(set) var vexL: UInt8 = 0
  /// 0 one byte, 1 0F, 2 0F38, 3 0F3A.
  private(set) var map = 0
  private(set) var opcode: UInt8 = 0
  private(set) var plus = false
  private(set) var reg: UInt8?
  private(set) var fixedModRM: UInt8?
  private(set) var hasModRM = false
  private(set) var form = Form.any
  private(set) var usesVvvv = false
  /// The memory operand is one of many, by a vector of indices.
  private(set) var vectorIndex = false

  init(_ pattern: String, operands: [Operand]) {
    var bytes: [UInt8] = []
    // Most words are bytes, and comparing strings is slow: see `Family.made`.
    for word in pattern.utf8.split(separator: UInt8(ascii: " ")) {
      if let byte = Self.byte(word) {
        switch byte {
        case 0x66 where bytes.isEmpty: prefix = .p66
        case 0xf3 where bytes.isEmpty: prefix = .pF3
        case 0xf2 where bytes.isEmpty: prefix = .pF2
        default: bytes.append(byte)
        }
        continue
      }
      if word.last == UInt8(ascii: "+"), let byte = Self.byte(word.dropLast()) {
        plus = true
        bytes.append(byte)
        continue
      }
      if word.first == UInt8(ascii: "/") {
        guard let value = UInt8(Substring(word.dropFirst()), radix: 16) else {
          preconditionFailure(pattern)
        }
        if word.count == 2 { reg = value } else { fixedModRM = value }
        continue
      }
      switch String(Substring(word)) {
      case "NP" where bytes.isEmpty: prefix = .none
      case "NFx" where bytes.isEmpty: prefix = .noRep
      case "o16": size = 2
      case "o32": size = 4
      case "o64": size = 8
      case "W0": wide = 1
      case "W1": wide = 2
      case "B=0": noB = true
      case "VEX": vex = true
      case "L0": vexL = 1
      case "L1": vexL = 2
      default: preconditionFailure(pattern)
      }
    }
    var rest = bytes[...]
    if rest.count > 1, rest.first == 0x0f {
      rest = rest.dropFirst()
      map = 1
      if rest.count > 1, rest.first == 0x38 || rest.first == 0x3a {
        map = rest.first == 0x38 ? 2 : 3
        rest = rest.dropFirst()
      }
    }
    precondition(rest.count == 1, pattern)
    opcode = rest.first ?? 0
    hasModRM = reg != nil || fixedModRM != nil
    for operand in operands {
      switch operand.place {
      case .rm, .reg, .vectorReg, .vectorRm, .mmxReg, .mmxRm, .segment, .control, .debug:
        hasModRM = true
      case .memory:
        hasModRM = true
        form = .memory
        vectorIndex = operand.type == .vx || operand.type == .vd
      case .rmRegister, .vectorRmRegister, .mmxRmRegister, .stack:
        hasModRM = true
        form = .register
      case .vvvv, .vectorVvvv: usesVvvv = true
      default: break
      }
    }
  }

  /// The value of two hexadecimal digits.
  private static func byte(_ word: Substring.UTF8View) -> UInt8? {
    guard word.count == 2, let first = word.first.flatMap(digit),
      let last = word.last.flatMap(digit)
    else { return nil }
    return first << 4 | last
  }

  private static func digit(_ letter: UInt8) -> UInt8? {
    switch letter {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): letter - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): letter - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// Whether the row is this instruction's, of which everything up to the ModRM byte is known.
  @inline(__always)
  func matches(
    _ prefixes: Prefixes, _ rex: UInt8, _ modRM: UInt8, _ size: UInt8, _ vvvv: UInt8
  ) -> Bool {
    if noB && rex & 1 != 0 { return false }
    switch prefix {
    case .any: break
    case .none:
      if !prefixes.isDisjoint(with: [.rep, .repne, .operandSize]) { return false }
    case .noRep: if !prefixes.isDisjoint(with: [.rep, .repne]) { return false }
    case .p66:
      if !prefixes.contains(.operandSize) || !prefixes.isDisjoint(with: [.rep, .repne]) {
        return false
      }
    case .pF3: if !prefixes.contains(.rep) { return false }
    case .pF2: if !prefixes.contains(.repne) { return false }
    }
    if self.size != 0 && self.size != size { return false }
    if wide != 0 && (wide == 2) != prefixes.contains(.wide) { return false }
    if vexL != 0 && (vexL == 2) != prefixes.contains(.vex256) { return false }
    if let reg, (modRM >> 3) & 7 != reg { return false }
    if let fixedModRM, fixedModRM != modRM { return false }
    if vectorIndex && modRM & 7 != 4 { return false }
    switch form {
    case .any: break
    case .memory: if modRM >= 0xc0 { return false }
    case .register: if modRM < 0xc0 { return false }
    }
    return !vex || usesVvvv || vvvv == 0
  }
}
