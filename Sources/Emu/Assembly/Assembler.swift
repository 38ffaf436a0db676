/// Text to bytes: statements, labels, directives and data as GNU as has them, for any instruction set.
///
/// Sections are laid out one behind the other from ``origin`` on, each on a page of its own. What
/// branches need is found by growth: every instruction begins with its shortest form.
///
/// - SeeAlso: Using as, "Assembler Directives".
public struct Assembler<Insns: InsnAssembler> {
  /// Where the first section begins.
  public var origin: UInt64
  var insns: Insns
  var sections: [AssemblySection] = []
  var current = 0
  var symbols: [String: AssemblySymbol] = [:]
  var order: [String] = []
  var globals: Set<String> = []
  var functions: Set<String> = []
  var objects: Set<String> = []
  var sizes: [String: AssemblyExpression] = [:]
  /// Local labels: number, section, item.
  var locals: [Int: [(sequence: Int, section: Int, item: Int)]] = [:]
  var sequence = 0
  /// The sections in the order of their addresses.
  var arrangement: [Int] = []
  /// Values of names for expressions, of the present layout.
  var memo = AssemblyMemo()

  /// Assembles a text.
  ///
  /// - Parameters:
  ///   - text: the statements.
  ///   - insns: the instruction set.
  ///   - origin: where the first section begins.
  /// - Returns: what it came to.
  /// - Throws: the first thing that is wrong, with its line and column.
  public static func assemble(
    _ text: String, _ insns: Insns, origin: UInt64 = 0x10000
  ) throws(AssemblyError) -> AssembledImage {
    var assembler = Assembler(origin: origin, insns: insns)
    for statement in try AssemblyScanner.statements(of: text) {
      do throws(AssemblyProblem) {
        try assembler.read(statement.tokens[...], statement.line)
      } catch {
        throw AssemblyError(
          line: statement.line, column: error.column ?? statement.tokens[0].column, error.message)
      }
    }
    return try assembler.finish()
  }

  private init(origin: UInt64, insns: Insns) {
    self.origin = origin
    self.insns = insns
    _ = enter(".text")
  }

  /// Goes to a section, a new one if need be.
  mutating func enter(_ name: String) -> Bool {
    if let known = sections.firstIndex(where: { $0.name == name }) {
      current = known
      return true
    }
    guard let kind = AssemblySection.Kind(name) else { return false }
    current = sections.count
    sections.append(AssemblySection(name: name, kind: kind))
    return true
  }

  // MARK: Statements

  private mutating func read(
    _ tokens: ArraySlice<AssemblyToken>, _ line: Int
  ) throws(AssemblyProblem) {
    var tokens = tokens
    sequence += 1
    // Labels in front.
    while tokens.count > 1, tokens[tokens.startIndex + 1].isSign(":") {
      let label = tokens[tokens.startIndex]
      switch label.kind {
      case .name(let name): try define(name, .label(current, sections[current].items.count), label)
      case .number(let number):
        guard let number = Int(exactly: number) else {
          throw AssemblyProblem("such a label can't be named", column: label.column)
        }
        locals[number, default: []].append((sequence, current, sections[current].items.count))
      default: throw AssemblyProblem("a label's name is missing", column: label.column)
      }
      tokens = tokens.dropFirst(2)
    }
    guard let first = tokens.first else { return }
    guard let name = first.name else {
      throw AssemblyProblem("an instruction or directive is missing", column: first.column)
    }
    if tokens.count > 1, tokens[tokens.startIndex + 1].isSign("=") {
      var reader = AssemblyReader(
        tokens.dropFirst(2), end: (tokens.last?.column ?? first.column) + 1)
      let value = try reader.expression()
      guard reader.isAtEnd else { throw Self.surplus(reader) }
      return try define(name, .value(value, sequence), first)
    }
    let operands = Self.operands(tokens.dropFirst())
    if name.hasPrefix(".") {
      return try directive(name, operands, first, line)
    }
    guard sections[current].kind != .bss else {
      throw AssemblyProblem("an instruction in .bss", column: first.column)
    }
    let statement = AssemblyStatement(
      mnemonic: name, column: first.column, operands: operands)
    let fragment = try insns.assemble(statement)
    precondition(!fragment.forms.isEmpty, "a fragment has a form")
    append(.fragment(fragment.forms), line, first.column)
  }

  static func surplus(_ reader: AssemblyReader) -> AssemblyProblem {
    AssemblyProblem("something is too much here", column: reader.column)
  }

  /// Operands are parted by commas outside of parentheses.
  private static func operands(_ tokens: ArraySlice<AssemblyToken>) -> [AssemblyReader] {
    guard let last = tokens.last else { return [] }
    var found: [AssemblyReader] = []
    var start = tokens.startIndex
    var depth = 0
    for index in tokens.indices {
      if tokens[index].isSign("(") { depth += 1 }
      if tokens[index].isSign(")") { depth -= 1 }
      if depth <= 0, tokens[index].isSign(",") {
        found.append(AssemblyReader(tokens[start..<index], end: tokens[index].column))
        start = index + 1
      }
    }
    found.append(AssemblyReader(tokens[start...], end: last.column + 1))
    return found
  }

  mutating func define(
    _ name: String, _ symbol: AssemblySymbol, _ token: AssemblyToken
  ) throws(AssemblyProblem) {
    guard symbols.updateValue(symbol, forKey: name) == nil else {
      throw AssemblyProblem("'\(name)' is defined a second time", column: token.column)
    }
    order.append(name)
  }

  mutating func append(_ kind: AssemblyItem.Kind, _ line: Int, _ column: Int) {
    sections[current].items.append(
      AssemblyItem(kind: kind, line: line, column: column, sequence: sequence))
  }
}

/// What a name stands for.
enum AssemblySymbol {
  /// The beginning of an item: section, item.
  case label(Int, Int)
  /// The value of an expression, and where it stands.
  case value(AssemblyExpression, Int)
}

/// A part of a section.
struct AssemblyItem {
  enum Kind {
    /// An instruction's ways.
    case fragment([AssemblyFragment.Form])
    /// Numbers of that many bytes.
    case data([AssemblyExpression], size: Int)
    case bytes([UInt8])
    /// That many of a byte.
    case fill(UInt64, UInt8)
    /// Up to a multiple; `nil`: with instructions without effect.
    case align(UInt64, UInt8?)
  }

  var kind: Kind
  var line: Int
  var column: Int
  var sequence: Int
  /// From the section's start.
  var offset: UInt64 = 0
  /// Of a fragment's forms.
  var form = 0
}

/// A section while it is filled.
struct AssemblySection {
  enum Kind: Int {
    case text, rodata, data, bss

    init?(_ name: String) {
      let head = name.split(separator: ".").first.map(String.init)
      switch head {
      case "text", "init", "fini": self = .text
      case "rodata": self = .rodata
      case "data", "sdata": self = .data
      case "bss", "sbss": self = .bss
      default: return nil
      }
    }
  }

  var name: String
  var kind: Kind
  var items: [AssemblyItem] = []
  var address: UInt64 = 0
  var size: UInt64 = 0
}

/// Values that were found out once: names of names of names cost no more than there are names.
final class AssemblyMemo {
  private var values: [String: UInt64?] = [:]

  func value(of name: String, _ find: () -> UInt64?) -> UInt64? {
    if let known = values[name] { return known }
    // What leads back to itself has none.
    values[name] = .some(nil)
    let found = find()
    values[name] = .some(found)
    return found
  }
}
