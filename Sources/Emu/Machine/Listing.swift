import Image
import RISCV
import X86

/// `emu disasm`: an ELF file as text.
public enum Listing {
  /// What to list.
  public enum Place: Sendable {
    /// All executable sections.
    case all
    /// One function.
    case symbol(String)
    /// From an address on, to the end of its section.
    case address(UInt64)
  }

  /// Why there is nothing to list, in one line.
  public struct Failure: Error, CustomStringConvertible {
    /// The line.
    public let description: String
    /// The exit status that says so.
    public let status: Int32
  }

  private struct Stretch {
    var address: UInt64
    var bytes: [UInt8]
  }

  /// The listing: a line `name:` before each symbol, then address, bytes and instruction a line.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - place: what of it.
  ///   - limit: most instructions.
  /// - Returns: the text, or why there is none.
  public static func disassemble(
    _ path: String, _ place: Place, limit: UInt64?
  ) -> Result<String, Failure> {
    let elf: ELFFile
    let architecture: ProgramArchitecture
    do {
      let bytes = try Host.contents(of: path)
      architecture = ProgramArchitecture(elf: bytes) ?? .riscv64
      elf = try ELFFile(
        bytes, requirements: ELFRequirements(machine: architecture.kernel.elfMachine))
    } catch let error as HostFileError {
      return .failure(
        Failure(
          description: error.description,
          status: error.missing ? RunReport.Status.notFound : RunReport.Status.notExecutable))
    } catch {
      return .failure(
        Failure(description: "\(path): \(error)", status: RunReport.Status.notExecutable))
    }
    guard var stretches = executable(elf) else {
      return .failure(
        Failure(
          description: "\(path): its executable parts overlap",
          status: RunReport.Status.notExecutable))
    }
    switch place {
    case .all: break
    case .symbol(let name):
      guard let symbol = elf.symbols.symbol(name) else {
        return .failure(Failure(description: "\(path): no symbol '\(name)'", status: 1))
      }
      let size = symbol.size > 0 ? symbol.size : .max
      stretches = cut(stretches, from: symbol.address, size: size)
    case .address(let address): stretches = cut(stretches, from: address, size: .max)
    }
    guard !stretches.isEmpty else {
      return .failure(
        Failure(description: "\(path): there is no executable code in that place", status: 1))
    }
    return .success(text(stretches, elf.symbols, limit ?? .max, architecture))
  }

  /// `nil` where parts overlap so often that together they are larger than the file.
  private static func executable(_ elf: ELFFile) -> [Stretch]? {
    func fits(_ sizes: [UInt64]) -> Bool {
      let file = UInt64(elf.bytes.count)
      return sizes.reduce(0) { $0 &+ min($1, file) } <= file
    }
    let sections = elf.sections.filter { $0.isExecutable && $0.isAllocated && $0.type != 8 }
    if !sections.isEmpty {
      guard fits(sections.map(\.size)) else { return nil }
      return sections.map { Stretch(address: $0.address, bytes: elf.contents(of: $0)) }
    }
    let segments = elf.header.loadable.filter(\.isExecutable)
    guard fits(segments.map(\.fileSize)) else { return nil }
    return segments.map {
      Stretch(address: $0.address, bytes: elf.contents(of: $0))
    }
  }

  private static func cut(_ stretches: [Stretch], from address: UInt64, size: UInt64) -> [Stretch] {
    for stretch in stretches {
      let offset = address &- stretch.address
      guard offset < UInt64(stretch.bytes.count) else { continue }
      let end = min(size, UInt64(stretch.bytes.count) - offset)
      return [
        Stretch(address: address, bytes: Array(stretch.bytes[Int(offset)..<Int(offset + end)]))
      ]
    }
    return []
  }

  private static func text(
    _ stretches: [Stretch], _ symbols: ELFSymbolTable, _ limit: UInt64,
    _ architecture: ProgramArchitecture
  ) -> String {
    let name: (UInt64) -> String? = { address in
      symbols.symbol(at: address).map {
        $0.offset == 0
          ? $0.symbol.name : "\($0.symbol.name)+0x\(String($0.offset, radix: 16))"
      }
    }
    var out = ""
    var left = limit
    for stretch in stretches {
      var offset = 0
      while offset + architecture.shortestInsn <= stretch.bytes.count, left > 0 {
        let pc = stretch.address &+ UInt64(offset)
        if let here = symbols.symbol(at: pc), here.offset == 0 {
          out += (out.isEmpty ? "" : "\n") + "\(here.symbol.name):\n"
        }
        let line = architecture.line(stretch.bytes[offset...], pc: pc, symbol: name)
        let address = String(pc, radix: 16)
        out += String(repeating: " ", count: max(10 - address.count, 0)) + "\(address):  "
        out += line.bytes + String(repeating: " ", count: max(line.column - line.bytes.count, 1))
        out += line.text + "\n"
        offset += line.length
        left -= 1
      }
    }
    return out
  }

  /// Writes text to standard output.
  ///
  /// - Returns: why it could not, in a line; `nil` too where nobody reads it any more.
  public static func print(_ text: String) -> String? {
    let problem = Host().consoleWrite(Array(text.utf8), stream: 1)
    return problem == nil || problem == .EPIPE ? nil : "standard output can't be written"
  }
}

/// An instruction in a listing.
private struct ListedInsn {
  var length: Int
  /// Its bytes as digits, and how wide their column is.
  var bytes: String
  var column: Int
  var text: String
}

extension ProgramArchitecture {
  /// Bytes of the shortest instruction.
  fileprivate var shortestInsn: Int { self == .riscv64 ? 2 : 1 }

  /// The instruction that `bytes` begin with.
  fileprivate func line(
    _ bytes: ArraySlice<UInt8>, pc: UInt64, symbol: @escaping (UInt64) -> String?
  ) -> ListedInsn {
    switch self {
    case .riscv64: Self.riscv(bytes, pc, symbol)
    case .x86_64: Self.x86(bytes, pc)
    }
  }

  private static func riscv(
    _ bytes: ArraySlice<UInt8>, _ pc: UInt64, _ symbol: @escaping (UInt64) -> String?
  ) -> ListedInsn {
    let start = bytes.startIndex
    let length = bytes[start] & 3 == 3 && bytes.count > 3 ? 4 : 2
    let bits = bytes.prefix(length).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let digits = String(bits, radix: 16)
    let text =
      RISCV.Decoder.decode(bits).map { RISCV.Disassembler.text($0, pc: pc, symbol: symbol) }
      ?? (length == 2 ? ".2byte\t0x\(digits)" : ".4byte\t0x\(digits)")
    return ListedInsn(
      length: length,
      bytes: String(repeating: "0", count: length * 2 - digits.count) + digits, column: 10,
      text: text.replacing("\t", with: " "))
  }

  private static func x86(_ bytes: ArraySlice<UInt8>, _ pc: UInt64) -> ListedInsn {
    func digits(_ bytes: ArraySlice<UInt8>) -> String {
      bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
    let window = Array(bytes.prefix(X86.Decoder.maxLength))
    guard case .insn(let insn) = X86.Decoder.decode(window) else {
      let one = digits(bytes.prefix(1))
      return ListedInsn(length: 1, bytes: one, column: 32, text: ".byte 0x\(one)")
    }
    let length = Int(insn.length)
    return ListedInsn(
      length: length, bytes: digits(bytes.prefix(length)), column: 32,
      text: X86.Disassembler.text(insn, pc: pc))
  }
}
