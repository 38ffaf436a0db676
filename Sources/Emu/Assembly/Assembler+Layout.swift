extension Assembler {
  /// Rounds in which only what must grow grows; then everything that may still grow does.
  private static var patience: Int { 64 }
  private static var page: UInt64 { 4096 }

  mutating func finish() throws(AssemblyError) -> AssembledImage {
    arrangement = sections.indices.sorted {
      let (one, other) = (sections[$0], sections[$1])
      return (one.kind.rawValue, one.name) < (other.kind.rawValue, other.name)
    }
    try layOut()
    var round = 0
    while try grow(all: round >= Self.patience) {
      try layOut()
      round += 1
    }
    return try image()
  }

  /// Gives every item its offset and every section its address.
  private mutating func layOut() throws(AssemblyError) {
    var address = origin
    var total: UInt64 = 0
    for (number, section) in arrangement.enumerated() {
      address = (address &+ Self.page &- 1) & ~(Self.page &- 1)
      sections[section].address = number == 0 ? origin : address
      var offset: UInt64 = 0
      for item in sections[section].items.indices {
        sections[section].items[item].offset = offset
        let entry = sections[section].items[item]
        let size = size(entry, at: sections[section].address &+ offset)
        guard size <= UInt64(AssemblyLimit.size) &- total else {
          throw AssemblyError(
            line: entry.line, column: entry.column,
            "this comes to more than \(AssemblyLimit.size >> 20) MiB")
        }
        total &+= size
        offset &+= size
      }
      sections[section].size = offset
      address = sections[section].address &+ offset
    }
    memo = AssemblyMemo()
  }

  private func size(_ item: AssemblyItem, at address: UInt64) -> UInt64 {
    switch item.kind {
    case .fragment(let forms): UInt64(forms[item.form].size)
    case .data(let values, let size): UInt64(values.count * size)
    case .bytes(let bytes): UInt64(bytes.count)
    case .fill(let count, _): count
    case .align(let multiple, _): (0 &- address) & (multiple &- 1)
    }
  }

  /// Has each fragment whose form does not do take the next one.
  ///
  /// - Returns: whether one did.
  private mutating func grow(all: Bool) throws(AssemblyError) -> Bool {
    var grew = false
    for section in sections.indices {
      for index in sections[section].items.indices {
        let item = sections[section].items[index]
        guard case .fragment(let forms) = item.kind, item.form + 1 < forms.count else { continue }
        let place = place(item, sections[section])
        if all {
          sections[section].items[index].form = forms.count - 1
          grew = true
        } else {
          do throws(AssemblyProblem) {
            _ = try forms[item.form].encode(place)
          } catch {
            sections[section].items[index].form += 1
            grew = true
          }
        }
      }
    }
    return grew
  }

  private func place(_ item: AssemblyItem, _ section: AssemblySection) -> AssemblyPlace {
    AssemblyPlace(
      pc: section.address &+ item.offset, symbols: { value(of: $0) },
      locals: { local($0, $1, item.sequence) })
  }

  private func address(_ section: Int, _ item: Int) -> UInt64 {
    let entry = sections[section]
    let offset = item < entry.items.count ? entry.items[item].offset : entry.size
    return entry.address &+ offset
  }

  private func value(of name: String, _ depth: Int = 0) -> UInt64? {
    guard depth < AssemblyLimit.depth, let symbol = symbols[name] else { return nil }
    switch symbol {
    case .label(let section, let item): return address(section, item)
    case .value(let expression, let sequence):
      return memo.value(of: name) {
        let place = AssemblyPlace(
          pc: 0, symbols: { value(of: $0, depth + 1) }, locals: { local($0, $1, sequence) })
        return try? expression.value(place)
      }
    }
  }

  private func local(_ number: Int, _ isForward: Bool, _ sequence: Int) -> UInt64? {
    let all = locals[number] ?? []
    // The first behind `sequence`: they are in order.
    var low = 0
    var high = all.count
    while low < high {
      let middle = (low + high) / 2
      if all[middle].sequence > sequence { high = middle } else { low = middle + 1 }
    }
    let index = isForward ? low : low - 1
    return all.indices.contains(index) ? address(all[index].section, all[index].item) : nil
  }

  // MARK: The result

  private func image() throws(AssemblyError) -> AssembledImage {
    var result: [AssembledImage.Section] = []
    for section in arrangement.map({ sections[$0] }) {
      var bytes: [UInt8] = []
      for item in section.items where section.kind != .bss {
        do throws(AssemblyProblem) {
          try emit(item, section, into: &bytes)
        } catch {
          throw AssemblyError(
            line: item.line, column: error.column ?? item.column, error.message)
        }
      }
      result.append(
        AssembledImage.Section(
          name: section.name, address: section.address, bytes: bytes, size: section.size,
          isWritable: section.kind == .data || section.kind == .bss,
          isExecutable: section.kind == .text))
    }
    let entry = value(of: "_start") ?? origin
    return AssembledImage(
      sections: result, symbols: try named(), elfMachine: insns.elfMachine, entry: entry)
  }

  private func emit(
    _ item: AssemblyItem, _ section: AssemblySection, into bytes: inout [UInt8]
  ) throws(AssemblyProblem) {
    switch item.kind {
    case .fragment(let forms):
      let form = forms[item.form]
      let made = try form.encode(place(item, section))
      precondition(made.count == form.size, "a form has the size that it says")
      bytes += made
    case .data(let values, let size):
      var place = place(item, section)
      for expression in values {
        let value = try expression.value(place)
        guard Self.fits(value, size) else {
          throw AssemblyProblem("\(Int64(bitPattern: value)) does not fit into \(size) bytes")
        }
        for byte in 0..<UInt64(size) {
          bytes.append(UInt8(truncatingIfNeeded: value >> (8 * byte)))
        }
        place = AssemblyPlace(
          pc: place.pc &+ UInt64(size), symbols: place.symbols, locals: place.locals)
      }
    case .bytes(let made): bytes += made
    case .fill(let count, let byte): bytes += [UInt8](repeating: byte, count: Int(count))
    case .align(_, let fill):
      let count = Int(size(item, at: section.address &+ item.offset))
      if let fill {
        bytes += [UInt8](repeating: fill, count: count)
      } else if section.kind == .text {
        bytes += insns.filler(count)
      } else {
        bytes += [UInt8](repeating: 0, count: count)
      }
    }
  }

  /// As a signed or as an unsigned number.
  private static func fits(_ value: UInt64, _ size: Int) -> Bool {
    guard size < 8 else { return true }
    let bits = UInt64(8 * size)
    let signed = Int64(bitPattern: value) >> Int64(bits - 1)
    return value >> bits == 0 || signed == -1
  }

  private func named() throws(AssemblyError) -> [AssembledImage.Symbol] {
    var starts = sections.map { [$0.address &+ $0.size] }
    for name in order {
      if case .label(let section, let item)? = symbols[name] {
        starts[section].append(address(section, item))
      }
    }
    for section in starts.indices { starts[section].sort() }
    var made: [AssembledImage.Symbol] = []
    for name in order where !name.hasPrefix(".L") {
      guard let value = value(of: name), let symbol = symbols[name] else {
        throw AssemblyError(line: 1, column: 1, "the value of '\(name)' can't be found out")
      }
      var symbolRow = AssembledImage.Symbol(
        name: name, value: value, size: 0, isFunction: functions.contains(name),
        isGlobal: globals.contains(name), section: nil)
      if case .label(let home, _) = symbol {
        symbolRow.section = arrangement.firstIndex(of: home)
        symbolRow.size = Self.next(value, starts[home]) &- value
        if sections[home].kind == .text, !objects.contains(name) { symbolRow.isFunction = true }
      }
      if let given = sizes[name] {
        let place = AssemblyPlace(
          pc: value, symbols: { self.value(of: $0) }, locals: { _, _ in nil })
        symbolRow.size = (try? given.value(place)) ?? symbolRow.size
      }
      made.append(symbolRow)
    }
    return made
  }

  /// The first of some sorted addresses that is behind one; itself where none is.
  private static func next(_ address: UInt64, _ sorted: [UInt64]) -> UInt64 {
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] > address { high = middle } else { low = middle + 1 }
    }
    return low < sorted.count ? sorted[low] : address
  }
}
