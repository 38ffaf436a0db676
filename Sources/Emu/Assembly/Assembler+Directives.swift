extension Assembler {
  mutating func directive(
    _ name: String, _ operands: [AssemblyReader], _ token: AssemblyToken, _ line: Int
  ) throws(AssemblyProblem) {
    let sizes = [
      ".byte": 1, ".half": 2, ".short": 2, ".2byte": 2, ".hword": 2, ".word": insns.wordSize,
      ".4byte": 4,
      ".long": 4, ".int": 4, ".dword": 8, ".8byte": 8, ".quad": 8,
    ]
    if let size = sizes[name] { return try data(operands, size, token, line) }
    switch name {
    case ".text", ".data", ".rodata", ".bss": _ = enter(name)
    case ".section":
      guard let section = operands.first?.next?.name, enter(section) else {
        throw AssemblyProblem(
          "a section is .text, .rodata, .data or .bss, or begins with that",
          column: operands.first?.column ?? token.column)
      }
    case ".globl", ".global", ".weak", ".local":
      for operand in operands {
        guard let symbol = operand.next?.name else {
          throw AssemblyProblem("a symbol is missing", column: operand.column)
        }
        if name != ".local" { globals.insert(symbol) }
      }
    case ".type": try type(operands, token)
    case ".size":
      guard operands.count == 2, let symbol = operands[0].next?.name else {
        throw AssemblyProblem(".size wants SYMBOL, BYTES", column: token.column)
      }
      self.sizes[symbol] = try whole(operands[1], pinned: true)
    case ".equ", ".set":
      guard operands.count == 2, let symbol = operands[0].next, let name = symbol.name else {
        throw AssemblyProblem(".equ wants SYMBOL, VALUE", column: token.column)
      }
      try define(name, .value(try whole(operands[1], pinned: false), sequence), symbol)
    case ".ascii", ".asciz", ".string":
      var bytes: [UInt8] = []
      guard !operands.isEmpty else {
        throw AssemblyProblem("a string is missing", column: token.column)
      }
      for operand in operands {
        guard case .string(let text)? = operand.next?.kind, operand.afterNext == nil else {
          throw AssemblyProblem("a string in quotes is missing", column: operand.column)
        }
        bytes += text + (name == ".ascii" ? [] : [0])
      }
      try store(.bytes(bytes), line, token)
    case ".zero", ".space", ".skip":
      let fill = operands.count > 1 ? try number(operands[1]) : 0
      let count = try number(operands.first, token)
      append(.fill(count, UInt8(truncatingIfNeeded: fill)), line, token.column)
    case ".align", ".p2align", ".balign":
      try align(name, operands, token, line)
    case ".file", ".ident", ".cfi_startproc", ".cfi_endproc", ".attribute": break
    default:
      guard try insns.directive(name, operands) else {
        throw AssemblyProblem("unknown directive '\(name)'", column: token.column)
      }
    }
  }

  private mutating func data(
    _ operands: [AssemblyReader], _ size: Int, _ token: AssemblyToken, _ line: Int
  ) throws(AssemblyProblem) {
    guard !operands.isEmpty else {
      throw AssemblyProblem("a value is missing", column: token.column)
    }
    var values: [AssemblyExpression] = []
    for operand in operands { values.append(try whole(operand, pinned: false)) }
    try store(.data(values, size: size), line, token)
  }

  private mutating func store(
    _ kind: AssemblyItem.Kind, _ line: Int, _ token: AssemblyToken
  ) throws(AssemblyProblem) {
    guard sections[current].kind != .bss else {
      throw AssemblyProblem("data in .bss, which holds zeros only", column: token.column)
    }
    append(kind, line, token.column)
  }

  /// An operand that is one expression; with `pinned`, `.` in it is where it stands.
  private mutating func whole(
    _ operand: AssemblyReader, pinned: Bool
  ) throws(AssemblyProblem) -> AssemblyExpression {
    var reader = operand
    let value = try reader.expression()
    guard reader.isAtEnd else { throw Self.surplus(reader) }
    guard pinned else { return value }
    // `.` of a directive without an item of its own: an empty item is its place.
    let name = " \(sequence)"
    symbols[name] = .label(current, sections[current].items.count)
    return value.pinned(to: name)
  }

  /// A number that does not depend on where things come to lie.
  private func number(
    _ operand: AssemblyReader?, _ token: AssemblyToken? = nil
  ) throws(AssemblyProblem) -> UInt64 {
    guard var reader = operand else {
      throw AssemblyProblem("a number is missing", column: token?.column)
    }
    let column = reader.column
    let value = try reader.expression()
    guard reader.isAtEnd else { throw Self.surplus(reader) }
    guard let number = constant(value, 0, AssemblyMemo()) else {
      throw AssemblyProblem("a number is wanted that no address enters", column: column)
    }
    return number
  }

  /// The value of an expression of numbers and of names for numbers.
  private func constant(
    _ value: AssemblyExpression, _ depth: Int, _ memo: AssemblyMemo
  ) -> UInt64? {
    guard depth < AssemblyLimit.depth, !value.usesPlace else { return nil }
    let place = AssemblyPlace(
      pc: 0,
      symbols: { name in
        guard case .value(let expression, _)? = symbols[name] else { return nil }
        return memo.value(of: name) { constant(expression, depth + 1, memo) }
      }, locals: { _, _ in nil })
    return try? value.value(place)
  }

  private mutating func type(
    _ operands: [AssemblyReader], _ token: AssemblyToken
  ) throws(AssemblyProblem) {
    guard operands.count == 2, let symbol = operands[0].next?.name else {
      throw AssemblyProblem(".type wants SYMBOL, @function or @object", column: token.column)
    }
    var kind = operands[1]
    if !kind.take("@") { _ = kind.take("%") }
    switch kind.next?.name {
    case "function", "STT_FUNC": functions.insert(symbol)
    case "object", "STT_OBJECT", "notype": objects.insert(symbol)
    default: throw AssemblyProblem("@function or @object is wanted", column: kind.column)
    }
  }

  /// `.align` is a power of two on some instruction sets, and bytes on others.
  private mutating func align(
    _ name: String, _ operands: [AssemblyReader], _ token: AssemblyToken, _ line: Int
  ) throws(AssemblyProblem) {
    let value = try number(operands.first, token)
    let multiple: UInt64
    if name == ".balign" || name == ".align" && !insns.alignsByPower {
      multiple = value
    } else {
      multiple = value < 16 ? 1 << value : 0
    }
    guard multiple > 0, multiple & (multiple - 1) == 0, multiple <= 1 << 15 else {
      throw AssemblyProblem("at most 32768 bytes, and a power of two", column: token.column)
    }
    let fill = operands.count > 1 ? UInt8(truncatingIfNeeded: try number(operands[1])) : nil
    append(.align(multiple, fill), line, token.column)
  }
}

extension AssemblyExpression {
  /// The same with `.` being the value of a symbol.
  func pinned(to symbol: String) -> AssemblyExpression {
    switch self {
    case .here: .symbol(symbol, column: 1)
    case .unary(let sign, let operand): .unary(sign, operand.pinned(to: symbol))
    case .binary(let sign, let left, let right, let column):
      .binary(sign, left.pinned(to: symbol), right.pinned(to: symbol), column: column)
    case .number, .symbol, .local, .function: self
    }
  }

  /// Whether `.`, a local label or a function is in it.
  var usesPlace: Bool {
    switch self {
    case .number, .symbol: false
    case .here, .local, .function: true
    case .unary(_, let operand): operand.usesPlace
    case .binary(_, let left, let right, _): left.usesPlace || right.usesPlace
    }
  }
}
