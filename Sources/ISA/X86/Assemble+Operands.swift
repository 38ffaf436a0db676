import Assembly

/// An operand of a statement.
enum AsmOperand {
  /// A general register: number, bytes, and whether it is one of AH to BH.
  case general(UInt8, size: UInt8, isHigh: Bool)
  /// XMM or YMM by bytes.
  case vector(UInt8, size: UInt8)
  case mmx(UInt8)
  /// `st` alone, or `st(n)`.
  case stackTop
  case stack(UInt8)
  case segment(UInt8)
  case control(UInt8)
  case debug(UInt8)
  case memory(AsmAddress)
  case value(AssemblyExpression)

  /// Whether it is in memory.
  var memory: AsmAddress? {
    if case .memory(let address) = self { address } else { nil }
  }
}

/// `size ptr seg:[base + index*scale + displacement]`.
struct AsmAddress {
  /// A register of an address.
  struct Part {
    var number: UInt8
    /// 4, 8; of a vector of indices 16, 32.
    var size: UInt8
  }

  /// Bytes that are accessed; 0 where that is not said.
  var size: UInt8 = 0
  /// 0x64, 0x65; 0: none.
  var segment: UInt8 = 0
  var base: Part?
  var index: Part?
  var scale: UInt8 = 0
  /// `rip` or `eip`, by bytes.
  var pcSize: UInt8 = 0
  var displacement: AssemblyExpression?
  var column = 0

  /// 4 or 8: of the registers, else that of the mode.
  var addressSize: UInt8 {
    if pcSize != 0 { return pcSize }
    if let base { return base.size }
    return index.map { $0.size == 4 ? 4 : 8 } ?? 8
  }
}

/// The names of registers.
enum AsmRegisters {
  static let all: [String: AsmOperand] = {
    var names: [String: AsmOperand] = [:]
    for number in 0..<16 {
      let register = UInt8(number)
      for (list, size) in [
        (Registers.names64, 8), (Registers.names32, 4), (Registers.names16, 2),
        (Registers.names8, 1),
      ] {
        names[list[number]] = .general(register, size: UInt8(size), isHigh: false)
      }
      names["xmm\(number)"] = .vector(register, size: 16)
      names["ymm\(number)"] = .vector(register, size: 32)
      names["cr\(number)"] = .control(register)
      names["dr\(number)"] = .debug(register)
    }
    for number in 0..<8 { names["mm\(number)"] = .mmx(UInt8(number)) }
    for (number, name) in Registers.high.enumerated() {
      names[name] = .general(UInt8(number + 4), size: 1, isHigh: true)
    }
    for (number, name) in ["es", "cs", "ss", "ds", "fs", "gs"].enumerated() {
      names[name] = .segment(UInt8(number))
    }
    return names
  }()

  static let sizes: [String: UInt8] = [
    "byte": 1, "word": 2, "dword": 4, "fword": 6, "qword": 8, "tbyte": 10, "xmmword": 16,
    "ymmword": 32,
  ]
}

/// Words to an operand.
///
/// A name that is no register is the value of a symbol; memory is what stands in brackets.
///
/// `Deviation:` GNU as takes a symbol without brackets for memory, and wants `offset` before it
/// otherwise; `offset` may stand here too.
struct AsmOperandReader {
  private var tokens: ArraySlice<AssemblyToken>
  private let end: Int

  static func read(_ reader: AssemblyReader) throws(AssemblyProblem) -> AsmOperand {
    let last = reader.tokens.last?.column ?? reader.column
    var parser = AsmOperandReader(tokens: reader.tokens, end: last + 1)
    return try parser.operand()
  }

  private var column: Int { tokens.first?.column ?? end }

  private func name(_ ahead: Int = 0) -> String? {
    let index = tokens.startIndex + ahead
    return index < tokens.endIndex ? tokens[index].name?.lowercased() : nil
  }

  private func isSign(_ sign: Character, _ ahead: Int = 0) -> Bool {
    let index = tokens.startIndex + ahead
    return index < tokens.endIndex && tokens[index].isSign(sign)
  }

  private func expression(
    _ tokens: ArraySlice<AssemblyToken>
  ) throws(AssemblyProblem) -> AssemblyExpression {
    var reader = AssemblyReader(tokens, end: (tokens.last?.column ?? end - 1) + 1)
    for token in tokens {
      if let name = token.name?.lowercased(), AsmRegisters.all[name] != nil {
        throw AssemblyProblem("the register '\(name)' can't stand here", column: token.column)
      }
    }
    let value = try reader.expression()
    guard reader.isAtEnd else {
      throw AssemblyProblem("something is too much here", column: reader.column)
    }
    return value
  }

  private mutating func operand() throws(AssemblyProblem) -> AsmOperand {
    guard !tokens.isEmpty else { throw AssemblyProblem("an operand is missing", column: end) }
    if tokens.count == 1, let name = name(), let register = AsmRegisters.all[name] {
      return register
    }
    if name() == "st" { return try stack() }
    if name() == "offset" {
      return .value(try expression(tokens.dropFirst()))
    }
    var address = AsmAddress()
    address.column = column
    if let name = name(), let size = AsmRegisters.sizes[name], self.name(1) == "ptr" {
      address.size = size
      tokens = tokens.dropFirst(2)
    }
    if let name = name(), case .segment(let number)? = AsmRegisters.all[name], isSign(":", 1) {
      guard number == 4 || number == 5 else {
        throw AssemblyProblem("only fs and gs have a base", column: column)
      }
      address.segment = number == 4 ? 0x64 : 0x65
      tokens = tokens.dropFirst(2)
    }
    guard let open = tokens.firstIndex(where: { $0.isSign("[") }) else {
      guard address.size == 0, address.segment == 0 else {
        throw AssemblyProblem("'[' is missing", column: column)
      }
      return .value(try expression(tokens))
    }
    guard let last = tokens.last, last.isSign("]") else {
      throw AssemblyProblem("']' is missing at the end", column: end)
    }
    // `symbol[rip]` is `[symbol + rip]`.
    if open > tokens.startIndex {
      address.displacement = try expression(tokens[..<open])
    }
    try read(tokens[(open + 1)...].dropLast(), into: &address)
    return .memory(address)
  }

  private mutating func stack() throws(AssemblyProblem) -> AsmOperand {
    let words = Array(tokens)
    if words.count == 1 { return .stackTop }
    guard words.count == 4, words[1].isSign("("), words[3].isSign(")"),
      case .number(let number) = words[2].kind, number < 8
    else { throw AssemblyProblem("st(0) to st(7) are there", column: column) }
    return .stack(UInt8(number))
  }

  /// The parts between the brackets.
  private func read(
    _ inside: ArraySlice<AssemblyToken>, into address: inout AsmAddress
  ) throws(AssemblyProblem) {
    var sign: Character = "+"
    var start = inside.startIndex
    var depth = 0
    for index in inside.indices {
      let token = inside[index]
      if token.isSign("(") { depth += 1 }
      if token.isSign(")") { depth -= 1 }
      guard depth <= 0, token.isSign("+") || token.isSign("-") else { continue }
      // A sign in front of a part.
      if index == start {
        if token.isSign("-") { sign = sign == "-" ? "+" : "-" }
        start = index + 1
        continue
      }
      // A sign behind `*` or the like belongs to what follows it.
      if case .sign(let before) = inside[index - 1].kind, before != ")" { continue }
      try part(inside[start..<index], sign, into: &address)
      sign = token.isSign("-") ? "-" : "+"
      start = index + 1
    }
    guard start < inside.endIndex else {
      throw AssemblyProblem("an address is missing", column: inside.last?.column ?? column)
    }
    try part(inside[start...], sign, into: &address)
  }

  private func part(
    _ tokens: ArraySlice<AssemblyToken>, _ sign: Character, into address: inout AsmAddress
  ) throws(AssemblyProblem) {
    let words = Array(tokens)
    let column = words[0].column
    let names = words.map { $0.name?.lowercased() }
    func register(_ index: Int) -> AsmAddress.Part? {
      guard let name = names[index] else { return nil }
      switch AsmRegisters.all[name] {
      case .general(let number, let size, false) where size >= 4:
        return AsmAddress.Part(number: number, size: size)
      case .vector(let number, let size): return AsmAddress.Part(number: number, size: size)
      default: return nil
      }
    }
    if words.count == 1, names[0] == "rip" || names[0] == "eip", sign == "+" {
      address.pcSize = names[0] == "rip" ? 8 : 4
      return
    }
    if words.count == 1, let register = register(0), sign == "+" {
      if address.base == nil, register.size < 16 {
        address.base = register
      } else {
        try index(register, 1, column, into: &address)
      }
      return
    }
    if words.count == 3, words[1].isSign("*"), sign == "+" {
      for (at, other) in [(0, 2), (2, 0)] {
        guard let register = register(at), case .number(let scale) = words[other].kind else {
          continue
        }
        return try index(register, scale, column, into: &address)
      }
    }
    let value = try expression(tokens)
    if let sum = address.displacement {
      address.displacement = .binary(sign, sum, value, column: column)
    } else {
      address.displacement = sign == "-" ? .unary("-", value) : value
    }
  }

  private func index(
    _ register: AsmAddress.Part, _ scale: UInt64, _ column: Int, into address: inout AsmAddress
  ) throws(AssemblyProblem) {
    guard address.index == nil else {
      throw AssemblyProblem("an address has a base and an index at most", column: column)
    }
    guard scale <= 8, scale.nonzeroBitCount == 1 else {
      throw AssemblyProblem("a scale is 1, 2, 4 or 8", column: column)
    }
    address.index = register
    address.scale = UInt8(scale.trailingZeroBitCount)
  }
}
