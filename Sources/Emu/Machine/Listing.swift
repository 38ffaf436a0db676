import Image
import RISCV

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
    do {
      elf = try ELFFile(
        try Host.contents(of: path),
        requirements: ELFRequirements(machine: RISCVKernelISA().elfMachine))
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
    return .success(text(stretches, elf.symbols, limit ?? .max))
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
    _ stretches: [Stretch], _ symbols: ELFSymbolTable, _ limit: UInt64
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
      while offset + 1 < stretch.bytes.count, left > 0 {
        let pc = stretch.address &+ UInt64(offset)
        if let here = symbols.symbol(at: pc), here.offset == 0 {
          out += (out.isEmpty ? "" : "\n") + "\(here.symbol.name):\n"
        }
        var bits = UInt32(stretch.bytes[offset]) | UInt32(stretch.bytes[offset + 1]) << 8
        var length = 2
        if bits & 3 == 3, offset + 3 < stretch.bytes.count {
          bits |=
            UInt32(stretch.bytes[offset + 2]) << 16 | UInt32(stretch.bytes[offset + 3]) << 24
          length = 4
        }
        let digits = String(bits, radix: 16)
        let hex = String(repeating: "0", count: length * 2 - digits.count) + digits
        let text =
          RISCV.Decoder.decode(bits).map { Disassembler.text($0, pc: pc, symbol: name) }
          ?? (length == 2 ? ".2byte\t0x\(digits)" : ".4byte\t0x\(digits)")
        let address = String(pc, radix: 16)
        out += String(repeating: " ", count: max(10 - address.count, 0)) + "\(address):  "
        out += hex + String(repeating: " ", count: 10 - hex.count)
        out += text.replacing("\t", with: " ") + "\n"
        offset += length
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
