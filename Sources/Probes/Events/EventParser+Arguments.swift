/// FETCHARGS: `[NAME=]FETCHARG[:TYPE]`.
///
/// - SeeAlso: Linux, `kernel/trace/trace_probe.c`: `traceprobe_parse_probe_arg`,
///   `traceprobe_parse_probe_arg_body`, `parse_probe_arg`, `parse_probe_vars`.
extension EventParser {
  /// Names that a record's own fields have.
  private static let reserved: Set<String> = [
    "common_type", "common_flags", "common_preempt_count", "common_pid", "common_tgid",
    "__probe_ip", "__probe_ret_ip", "__probe_func",
  ]

  mutating func arguments(_ words: [Range<Int>]) throws(EventError) -> [EventArgument] {
    if words.count > EventLimits.arguments {
      throw error(.tooManyArgs, words[EventLimits.arguments].lowerBound)
    }
    var arguments: [EventArgument] = []
    var used = Self.reserved
    // What every record begins with, and the address or addresses of the probe.
    var size = isReturn ? 24 : 16
    for word in words {
      let argument = try argument(word, arguments.count, used)
      used.insert(argument.name)
      size += argument.program.type.size * (argument.program.count ?? 1)
      guard size <= EventLimits.record else { throw error(.eventTooBig, word.lowerBound) }
      arguments.append(argument)
    }
    return arguments
  }

  private mutating func argument(
    _ word: Range<Int>, _ index: Int, _ used: Set<String>
  ) throws(EventError) -> EventArgument {
    var body = word
    var name = "arg\(index + 1)"
    if let equals = find("=", in: word) {
      let range = word.lowerBound..<equals
      guard range.count <= EventLimits.argumentName else {
        throw error(.argNameTooLong, word.lowerBound)
      }
      guard !range.isEmpty else { throw error(.noArgName, word.lowerBound) }
      guard isIdentifier(range) else { throw error(.badArgName, word.lowerBound) }
      name = string(range)
      body = equals + 1..<word.upperBound
    }
    guard !used.contains(name) else { throw error(.usedArgName, word.lowerBound) }
    guard body.count <= EventLimits.expression else { throw error(.argTooLong, body.lowerBound) }
    guard !body.isEmpty else { throw error(.noArgBody, body.lowerBound) }
    let program = try self.body(body)
    return EventArgument(
      name: name, expression: string(body), program: program, column: word.lowerBound)
  }

  // MARK: Types

  private mutating func body(_ body: Range<Int>) throws(EventError) -> FetchProgram {
    var expression = body
    var typeRange: Range<Int>?
    var count: Int?
    if let colon = find(":", in: body) {
      expression = body.lowerBound..<colon
      var range = colon + 1..<body.upperBound
      if let open = find("[", in: range) {
        count = try arrayCount(open + 1..<body.upperBound)
        range = range.lowerBound..<open
      }
      typeRange = range
    }
    let typeColumn = typeRange?.lowerBound ?? body.lowerBound
    let type: FetchType
    if isStringValue(expression) {
      if count != nil || typeRange.map({ string($0) != "string" }) == true {
        throw error(.needStringType, typeColumn)
      }
      type = .string
    } else if let typeRange {
      guard let named = FetchType.named(bytes[typeRange], kernel: !isUser) else {
        throw error(.badType, typeColumn)
      }
      type = named
    } else {
      type = .standard
    }
    var program = FetchProgram(
      load: .stackPointer, dereferences: [], type: type, bitfield: nil, count: count)
    steps = 0
    try fetch(expression, &program)
    try store(&program, body.lowerBound, typeColumn)
    if let typeRange, bytes[typeRange].first == UInt8(ascii: "b") {
      guard let bitfield = bitfield(typeRange, type.size) else {
        throw error(.badBitfield, typeColumn)
      }
      program.bitfield = bitfield
    }
    if count != nil {
      guard !program.dereferences.isEmpty, type.style != .symbolString else {
        throw error(.badString, typeColumn)
      }
      try nextStep(body.lowerBound)
    }
    return program
  }

  private func arrayCount(_ range: Range<Int>) throws(EventError) -> Int {
    guard let close = find("]", in: range) else { throw error(.arrayNoClose, range.upperBound) }
    guard close + 1 == range.upperBound else { throw error(.badArraySuffix, close + 1) }
    guard let count = Numbers.unsigned(bytes[range.lowerBound..<close]), count > 0,
      count <= UInt64(UInt32.max)
    else { throw error(.badArrayNum, range.lowerBound) }
    guard count <= UInt64(EventLimits.array) else { throw error(.arrayTooBig, range.lowerBound) }
    return Int(count)
  }

  private func isStringValue(_ range: Range<Int>) -> Bool {
    let text = bytes[range]
    return text.elementsEqual("$comm".utf8) || text.elementsEqual("$COMM".utf8)
      || text.starts(with: "\\\"".utf8)
  }

  /// `b<width>@<offset>/<container>`.
  private func bitfield(_ range: Range<Int>, _ size: Int) -> FetchProgram.Bitfield? {
    let (width, at, over) = Numbers.prefix(bytes[(range.lowerBound + 1)..<range.upperBound])
    guard !over, width > 0, width <= 64, at < range.upperBound, bytes[at] == UInt8(ascii: "@")
    else { return nil }
    let (offset, slash, tooMuch) = Numbers.prefix(bytes[(at + 1)..<range.upperBound])
    guard !tooMuch, slash > at + 1, slash < range.upperBound, bytes[slash] == UInt8(ascii: "/"),
      offset <= 64, Int(width + offset) <= size * 8
    else { return nil }
    return FetchProgram.Bitfield(
      left: size * 8 - Int(width + offset), right: size * 8 - Int(width))
  }

  /// Checks that the type can be made of what the expression leads to.
  private mutating func store(
    _ program: inout FetchProgram, _ column: Int, _ typeColumn: Int
  ) throws(EventError) {
    let isMemory = !program.dereferences.isEmpty
    var isAddress = false
    var isText = false
    switch program.load {
    case .immediate: isAddress = true
    case .comm, .text: isText = true
    default: break
    }
    switch program.type.style {
    case .string:
      guard isMemory || isAddress || isText else { throw error(.badString, typeColumn) }
      if !isMemory || program.count != nil { try nextStep(column) }
    case .symbolString:
      guard !isText, isMemory || !isAddress else { throw error(.badSymstring, typeColumn) }
      try nextStep(column)
    default:
      if !isMemory { try nextStep(column) }
    }
  }

  // MARK: Expressions

  /// Counts a step of the program as Linux would have it.
  private mutating func nextStep(_ column: Int) throws(EventError) {
    steps += 1
    if steps >= EventLimits.steps - 1 { throw error(.tooManyOps, column) }
  }

  /// Deviation: Linux ignores what follows the brace of a dereference.
  private mutating func fetch(
    _ range: Range<Int>, _ program: inout FetchProgram
  ) throws(EventError) {
    guard let first = bytes[range].first else { throw error(.badFetchArg, range.lowerBound) }
    let rest = range.lowerBound + 1..<range.upperBound
    switch Character(UnicodeScalar(first)) {
    case "$": program.load = try variable(rest, range.lowerBound)
    case "%":
      let name = string(rest)
      guard names.isRegister(name) else { throw error(.badRegName, range.lowerBound) }
      program.load = .register(name)
    case "@": try memory(rest, range.lowerBound, &program)
    case "+", "-": try dereference(range, &program)
    case "\\": program.load = try immediate(rest)
    case "_": throw error(.nosupBtfarg, range.lowerBound)
    default:
      throw error(Numbers.isLetter(first) ? .nosupBtfarg : .badFetchArg, range.lowerBound)
    }
  }

  private mutating func variable(
    _ range: Range<Int>, _ column: Int
  ) throws(EventError) -> FetchProgram.Load {
    let name = string(range)
    switch name {
    case "retval":
      guard isReturn else { throw error(.retvalOnProbe, column) }
      return .returnValue
    case "stack": return .stackPointer
    case "comm", "COMM": return .comm
    case "arg*": throw error(.nosupBtfarg, column)
    default: break
    }
    if name.hasPrefix("stack") {
      let digits = bytes[(range.lowerBound + 5)..<range.upperBound]
      guard let first = digits.first, Numbers.isDigit(first),
        let index = Numbers.unsigned(digits, base: 10)
      else { throw error(.badVar, column) }
      guard index <= (isUser ? UInt64(UInt32.max) : EventLimits.stackWords) else {
        throw error(.badStackNum, column)
      }
      return .stack(index)
    }
    // Deviation: Linux has arguments for kernel functions only; here too for a program's where the
    // place is a symbol or the probe is of a return.
    guard name.hasPrefix("arg"), isEntry || isReturn else { throw error(.badVar, column) }
    let digits = bytes[(range.lowerBound + 3)..<range.upperBound]
    guard let first = digits.first, Numbers.isDigit(first),
      let number = Numbers.unsigned(digits, base: 10)
    else { throw error(.badVar, column) }
    guard number > 0, number <= EventLimits.stackWords else { throw error(.badArgNum, column) }
    let index = Int(number) - 1
    guard isReturn else { return .argument(index) }
    if let kept = entryArguments.firstIndex(of: index) { return .entryValue(kept) }
    entryArguments.append(index)
    return .entryValue(entryArguments.count - 1)
  }

  /// `@ADDR`, `@+FILE_OFFSET`, `@SYM[+|-OFFS]`.
  private mutating func memory(
    _ range: Range<Int>, _ column: Int, _ program: inout FetchProgram
  ) throws(EventError) {
    guard let first = bytes[range].first else {
      throw error(isUser ? .symOnUprobe : .badMemAddr, column)
    }
    var offset: Int64 = 0
    if Numbers.isDigit(first) {
      guard let address = Numbers.unsigned(bytes[range]) else { throw error(.badMemAddr, column) }
      program.load = .immediate(address)
    } else if first == UInt8(ascii: "+") {
      guard isUser else { throw error(.fileOnKprobe, column) }
      guard let value = Numbers.signed(bytes[(range.lowerBound + 1)..<range.upperBound]) else {
        throw error(.badFileOffs, column)
      }
      program.load = .fileOffset(UInt64(bitPattern: value))
    } else {
      guard !isUser else { throw error(.symOnUprobe, column) }
      let sign = bytes[range].firstIndex { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") }
      if let sign {
        guard let value = Numbers.signed(bytes[sign..<range.upperBound]) else {
          throw error(.badMemAddr, column)
        }
        offset = value
      }
      let name = string(range.lowerBound..<(sign ?? range.upperBound))
      var address: UInt64 = 0
      if let lookup = names.symbol {
        switch lookup(name) {
        case .unknown: throw error(.badMemAddr, column, "no symbol '\(name)'")
        case .ambiguous: throw error(.nonUniqSymbol, column)
        case .address(let value): address = value
        }
      }
      // Linux has a step that holds the symbol.
      try nextStep(column)
      program.load = .immediate(address &+ UInt64(bitPattern: offset))
    }
    try nextStep(column)
    program.dereferences.append(FetchProgram.Dereference(offset: 0, isUser: false))
  }

  /// `+|-[u]OFFS(FETCHARG)`.
  private mutating func dereference(
    _ range: Range<Int>, _ program: inout FetchProgram
  ) throws(EventError) {
    let column = range.lowerBound
    var number = column + 1..<range.upperBound
    let user = bytes[number].first == UInt8(ascii: "u")
    if user { number = number.lowerBound + 1..<range.upperBound }
    guard let open = find("(", in: number) else { throw error(.derefNeedBrace, column) }
    let digits = bytes[number.lowerBound..<open]
    let text = bytes[column] == UInt8(ascii: "-") ? bytes[column...column] + digits : digits
    guard let first = digits.first, Numbers.isDigit(first),
      let offset = Numbers.signed(ArraySlice(text)), Int32(exactly: offset) != nil
    else { throw error(.badDerefOffs, column) }
    let inner = open + 1..<range.upperBound
    guard let close = bytes[inner].lastIndex(of: UInt8(ascii: ")")) else {
      throw error(.derefOpenBrace, range.upperBound)
    }
    guard close + 1 == range.upperBound else { throw error(.badFetchArg, close + 1) }
    try fetch(open + 1..<close, &program)
    switch program.load {
    case .comm, .text: throw error(.commCantDeref, open + 1)
    default: break
    }
    try nextStep(open + 1)
    program.dereferences.append(FetchProgram.Dereference(offset: offset, isUser: user))
  }

  /// `\NUMBER`, `\"TEXT"`.
  private func immediate(_ range: Range<Int>) throws(EventError) -> FetchProgram.Load {
    guard let first = bytes[range].first else { throw error(.badImm, range.lowerBound) }
    let rest = range.lowerBound + 1..<range.upperBound
    if first == UInt8(ascii: "\"") {
      guard bytes[rest].last == UInt8(ascii: "\"") else {
        throw error(.immstrNoClose, range.upperBound)
      }
      return .text(Array(bytes[rest.lowerBound..<(rest.upperBound - 1)]))
    }
    let value: UInt64?
    switch Character(UnicodeScalar(first)) {
    case "-": value = Numbers.signed(bytes[range]).map { UInt64(bitPattern: $0) }
    case "+": value = Numbers.signed(bytes[rest]).map { UInt64(bitPattern: $0) }
    default: value = Numbers.isDigit(first) ? Numbers.unsigned(bytes[range]) : nil
    }
    guard let value else { throw error(.badImm, range.lowerBound) }
    return .immediate(value)
  }
}
