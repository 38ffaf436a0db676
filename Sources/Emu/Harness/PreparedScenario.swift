import Assembly
import Image
import Machine

/// Why a scenario can't be run at all, in one line.
public struct HarnessError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The line.
  public var description: String
  /// Where in the scenario's assembly text, if it is there.
  public var assembly: AssemblyError?

  /// An error.
  public init(_ description: String, assembly: AssemblyError? = nil) {
    self.description = description
    self.assembly = assembly
  }
}

/// A scenario whose files were read and whose text was assembled: once for all its runs.
public struct PreparedScenario: Sendable {
  /// The scenario.
  public let scenario: Scenario
  /// The program's ELF file.
  public let program: [UInt8]
  /// The program's path in the guest, and what it is called.
  public let path: String
  /// The program's symbols.
  let symbols: ELFSymbolTable
  /// Its addresses are not those that it is linked at.
  let isPIE: Bool
  private let segments: [ELFSegment]

  /// Reads and assembles what a scenario needs.
  ///
  /// - Throws: ``HarnessError``.
  public init(_ scenario: Scenario) throws(HarnessError) {
    self.scenario = scenario
    let machine = scenario.machine
    if machine.board == .bare, !machine.guest.hasBareBoard {
      throw HarnessError("there is no bare board for \(machine.guest)")
    }
    switch scenario.subject {
    case .assembly(let text):
      path = "/asm"
      program = try Self.assemble(text, scenario.machine)
    case .bytes(let bytes, let name):
      path = "/" + name
      program = bytes
    case .file(let file):
      path = "/" + (file.split(separator: "/").last.map(String.init) ?? "program")
      do {
        program = try Host.contents(of: file, limit: 1 << 28)
      } catch {
        throw HarnessError(error.description)
      }
    }
    if scenario.files[path] != nil {
      throw HarnessError("files: \(path) is the program itself")
    }
    do {
      let elf = try ELFFile(program)
      symbols = elf.symbols
      isPIE = elf.isPIE
      segments = elf.header.loadable
    } catch {
      throw HarnessError("\(path.dropFirst()): \(error)")
    }
  }

  private static func assemble(
    _ text: String, _ machine: Scenario.Machine
  ) throws(HarnessError) -> [UInt8] {
    let origin: UInt64 =
      machine.board == .linux
      ? 0x10000 : machine.entry == .supervisor ? BoardMap.supervisorEntry : BoardMap.ramBase
    do {
      return try machine.guest.assemble(text, origin: origin).elf
    } catch {
      throw HarnessError("asm:\(error)", assembly: error)
    }
  }

  /// The bytes that the program's file has at an address of its text.
  func text(at address: UInt64) -> [UInt8]? {
    guard !isPIE,
      let segment = segments.first(where: {
        $0.isExecutable && address &- $0.address < $0.fileSize
      })
    else { return nil }
    let at = Int(segment.offset &+ (address &- segment.address))
    return Array(program[at..<min(at + 16, program.count)])
  }

  /// The program's symbol at or before an address: `name`, `name+0x10`.
  func describe(_ address: UInt64) -> String? {
    guard !isPIE, let found = symbols.symbol(at: address) else { return nil }
    return found.offset == 0
      ? found.symbol.name : "\(found.symbol.name)+0x\(String(found.offset, radix: 16))"
  }
}

extension AssembledImage {
  /// An ELF file of it, with its symbols.
  public var elf: [UInt8] {
    // Read always; write and execute as the section says.
    let used = sections.indices.filter { sections[$0].size > 0 }
    var builder = ELFBuilder(
      machine: elfMachine, entry: entry,
      segments: used.map {
        let section = sections[$0]
        return ELFBuilder.Segment(
          name: section.name, address: section.address, bytes: section.bytes, size: section.size,
          flags: 4 | (section.isWritable ? 2 : 0) | (section.isExecutable ? 1 : 0))
      })
    builder.symbols = symbols.map { symbol in
      ELFBuilder.Symbol(
        name: symbol.name, address: symbol.value, size: symbol.size,
        isFunction: symbol.isFunction, isGlobal: symbol.isGlobal,
        segment: symbol.section.flatMap { used.firstIndex(of: $0) })
    }
    return builder.bytes
  }
}
