/// A symbol of an ELF file.
public struct ELFSymbol: Sendable, Equatable {
  /// What it names.
  public enum Kind: UInt8, Sendable {
    /// A label of assembly code, or a value.
    case none
    /// A variable.
    case object
    /// A function.
    case function
    /// A section, a source file, a common block.
    case section, file, common
    /// A variable of each thread.
    case threadLocal
    /// A function that picks a function.
    case indirectFunction = 10
  }
  /// Who sees it.
  public enum Binding: UInt8, Sendable {
    /// This file's own.
    case local
    /// Everybody.
    case global
    /// Everybody, unless somebody else defines it too.
    case weak
  }
  /// Its name.
  public var name: String
  /// Its value: an address, before a load bias.
  public var address: UInt64
  /// Bytes, zero where unknown.
  public var size: UInt64
  /// What it names.
  public var kind: Kind
  /// Who sees it.
  public var binding: Binding
  /// The section it is in; 0xfff1 for a value that is no address (`SHN_ABS`).
  public var section: UInt16

  /// A value that is no address.
  public var isAbsolute: Bool { section == 0xfff1 }
}

/// Symbols by name and by address.
public struct ELFSymbolTable: Sendable {
  /// All defined symbols that have a name, by ascending address.
  public let all: [ELFSymbol]
  private let names: [String: Int]
  /// Functions, objects, and labels in code: one for each address, the best name of it.
  private let places: [Place]

  private struct Place: Sendable {
    var address: UInt64
    var symbol: Int
    /// The end of its section.
    var limit: UInt64
  }

  /// Sorts `symbols`.
  init(_ symbols: [ELFSymbol], sections: [ELFSection]) {
    let sorted = symbols.sorted {
      ($0.address, $0.binding.rawValue, $0.name) < ($1.address, $1.binding.rawValue, $1.name)
    }
    all = sorted
    var names: [String: Int] = [:]
    names.reserveCapacity(sorted.count)
    var places: [Place] = []
    for (index, symbol) in sorted.enumerated() {
      if let known = names[symbol.name] {
        if Self.isBetter(symbol, than: sorted[known]) { names[symbol.name] = index }
      } else {
        names[symbol.name] = index
      }
      guard let limit = Self.limit(symbol, sections) else { continue }
      if let last = places.last, last.address == symbol.address {
        if Self.isBetter(symbol, than: sorted[last.symbol]) {
          places[places.count - 1].symbol = index
        }
      } else {
        places.append(Place(address: symbol.address, symbol: index, limit: limit))
      }
    }
    self.names = names
    self.places = places
  }

  /// The end of the section of a symbol that names a place in memory.
  private static func limit(_ symbol: ELFSymbol, _ sections: [ELFSection]) -> UInt64? {
    guard Int(symbol.section) < sections.count, symbol.section > 0 else { return nil }
    let section = sections[Int(symbol.section)]
    guard section.isAllocated else { return nil }
    switch symbol.kind {
    case .function, .object, .indirectFunction: break
    case .none where section.isExecutable:
      // Mapping symbols and the assembler's own labels are no places to speak of.
      if symbol.name.hasPrefix("$") || symbol.name.hasPrefix(".L") { return nil }
    default: return nil
    }
    return section.address &+ section.size
  }

  /// Functions and objects before labels, global before weak before local, sized before unsized.
  private static func isBetter(_ one: ELFSymbol, than other: ELFSymbol) -> Bool {
    func rank(_ symbol: ELFSymbol) -> Int {
      var rank = symbol.kind == .none ? 0 : 8
      switch symbol.binding {
      case .global: rank += 4
      case .weak: rank += 2
      case .local: break
      }
      return symbol.size > 0 ? rank + 1 : rank
    }
    return rank(one) > rank(other)
  }

  /// The symbol of this name: of several, a global one.
  public func symbol(_ name: String) -> ELFSymbol? { names[name].map { all[$0] } }

  /// The function, object or label at or nearest before an address in the same section.
  ///
  /// - Returns: it and the distance from its start. An address behind the end of the symbol still
  ///   belongs to it, as in `kallsyms`, up to the next one.
  public func symbol(at address: UInt64) -> (symbol: ELFSymbol, offset: UInt64)? {
    var low = 0
    var high = places.count
    while low < high {
      let middle = (low + high) / 2
      if places[middle].address <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return nil }
    let place = places[low - 1]
    guard address < max(place.limit, place.address &+ 1) else { return nil }
    return (all[place.symbol], address &- place.address)
  }
}
