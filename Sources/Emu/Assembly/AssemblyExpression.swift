/// What names in expressions are worth where a statement stands.
public struct AssemblyPlace {
  /// The address of the statement.
  public let pc: UInt64
  let symbols: (String) -> UInt64?
  let locals: (Int, Bool) -> UInt64?

  /// The address, or the number, that a name stands for; `nil` where it is not known.
  public func value(of symbol: String) -> UInt64? { symbols(symbol) }
}

/// A number that may depend on where things come to lie.
public indirect enum AssemblyExpression: Sendable {
  /// A number.
  case number(UInt64)
  /// A symbol, and the column where its name is.
  case symbol(String, column: Int)
  /// A local label.
  case local(Int, isForward: Bool, column: Int)
  /// `.`: the address of the statement.
  case here
  /// A sign in front.
  case unary(Character, AssemblyExpression)
  /// A sign between; `<` and `>` are shifts.
  case binary(Character, AssemblyExpression, AssemblyExpression, column: Int)
  /// `%name(...)`, as the instruction set understands it.
  case function(String, AssemblyExpression, column: Int)

  /// Its value, where no name and no place is in it; `nil` too where it has none.
  public var constant: UInt64? {
    guard isConstant else { return nil }
    return try? value(AssemblyPlace(pc: 0, symbols: { _ in nil }, locals: { _, _ in nil }))
  }

  private var isConstant: Bool {
    switch self {
    case .number: true
    case .symbol, .local, .here, .function: false
    case .unary(_, let operand): operand.isConstant
    case .binary(_, let left, let right, _): left.isConstant && right.isConstant
    }
  }

  /// Its value at a place, in 64 bits that wrap.
  public func value(_ place: AssemblyPlace) throws(AssemblyProblem) -> UInt64 {
    switch self {
    case .number(let value): return value
    case .here: return place.pc
    case .symbol(let name, let column):
      guard let value = place.symbols(name) else {
        throw AssemblyProblem("there is no symbol '\(name)'", column: column)
      }
      return value
    case .local(let number, let isForward, let column):
      guard let value = place.locals(number, isForward) else {
        let where_ = isForward ? "behind" : "before"
        throw AssemblyProblem("there is no label \(number): \(where_) this", column: column)
      }
      return value
    case .unary(let sign, let operand):
      let value = try operand.value(place)
      return sign == "-" ? 0 &- value : sign == "~" ? ~value : value
    case .binary(let sign, let left, let right, let column):
      let (a, b) = (try left.value(place), try right.value(place))
      switch sign {
      case "+": return a &+ b
      case "-": return a &- b
      case "*": return a &* b
      case "&": return a & b
      case "|": return a | b
      case "^": return a ^ b
      case "<": return b < 64 ? a << b : 0
      case ">": return b < 64 ? a >> b : 0
      default:
        let (x, y) = (Int64(bitPattern: a), Int64(bitPattern: b))
        guard y != 0 else { throw AssemblyProblem("division by zero", column: column) }
        let (result, overflow) =
          sign == "/"
          ? x.dividedReportingOverflow(by: y) : x.remainderReportingOverflow(dividingBy: y)
        return UInt64(bitPattern: overflow && sign == "%" ? 0 : result)
      }
    case .function(let name, _, let column):
      throw AssemblyProblem("%\(name)() can't be used here", column: column)
    }
  }
}

/// Reads the words of one operand.
public struct AssemblyReader {
  /// The words.
  public let tokens: ArraySlice<AssemblyToken>
  private var rest: ArraySlice<AssemblyToken>
  /// The column behind the last word, for what is missing there.
  private let end: Int

  /// A reader of these words.
  public init(_ tokens: ArraySlice<AssemblyToken>, end: Int) {
    self.tokens = tokens
    rest = tokens
    self.end = end
  }

  /// The next word; `nil` at the end.
  public var next: AssemblyToken? { rest.first }
  /// The word behind the next one.
  public var afterNext: AssemblyToken? { rest.dropFirst().first }
  /// Whether all words were read.
  public var isAtEnd: Bool { rest.isEmpty }
  /// Where the next word begins.
  public var column: Int { rest.first?.column ?? end }

  /// Passes a word.
  public mutating func skip() { rest = rest.dropFirst() }

  /// Passes a sign if it is the next word.
  public mutating func take(_ sign: Character) -> Bool {
    guard next?.isSign(sign) == true else { return false }
    skip()
    return true
  }

  /// Reads a whole expression.
  public mutating func expression() throws(AssemblyProblem) -> AssemblyExpression {
    try binary(0, 0)
  }

  /// Signs between, the loosest first, as GNU as ranks them.
  ///
  /// - SeeAlso: Using as, "Infix Operators".
  private static let ranks: [[Character]] = [
    ["+", "-"], ["|", "&", "^"], ["*", "/", "%", "<", ">"],
  ]

  private mutating func binary(
    _ rank: Int, _ depth: Int
  ) throws(AssemblyProblem) -> AssemblyExpression {
    guard rank < Self.ranks.count else { return try unary(depth + 1) }
    var left = try binary(rank + 1, depth)
    while case .sign(let sign)? = next?.kind, Self.ranks[rank].contains(sign) {
      let column = column
      skip()
      left = .binary(sign, left, try binary(rank + 1, depth), column: column)
    }
    return left
  }

  private mutating func unary(_ depth: Int) throws(AssemblyProblem) -> AssemblyExpression {
    guard depth < AssemblyLimit.depth else {
      throw AssemblyProblem("more than \(AssemblyLimit.depth) levels of nesting", column: column)
    }
    guard let token = next else { throw AssemblyProblem("a value is missing", column: column) }
    skip()
    switch token.kind {
    case .number(let value): return .number(value)
    case .name("."): return .here
    case .name(let name): return .symbol(name, column: token.column)
    case .local(let number, let isForward):
      return .local(number, isForward: isForward, column: token.column)
    case .sign("("):
      let inner = try binary(0, depth)
      guard take(")") else { throw AssemblyProblem("')' is missing", column: column) }
      return inner
    case .sign(let sign) where sign == "-" || sign == "~" || sign == "+":
      return .unary(sign, try unary(depth + 1))
    case .sign("%"):
      guard let name = next?.name else {
        throw AssemblyProblem("a name is missing behind '%'", column: column)
      }
      skip()
      guard take("(") else { throw AssemblyProblem("'(' is missing", column: column) }
      let inner = try binary(0, depth)
      guard take(")") else { throw AssemblyProblem("')' is missing", column: column) }
      return .function(name, inner, column: token.column)
    case .sign(let sign):
      throw AssemblyProblem("'\(sign)' is no value", column: token.column)
    case .string: throw AssemblyProblem("a string is no value here", column: token.column)
    }
  }
}
