import Engine
import Image
import RISCV

/// An image that brings its own kernel: an ELF file, or bytes with an address.
public struct BareImage {
  /// In which mode an image is entered.
  public enum EntryMode: String, Sendable, CaseIterable {
    /// Supervisor mode if the image lies where firmware's payload does (0x80200000 and up), else
    /// machine mode.
    case auto
    /// Machine mode, as QEMU with `-bios none`.
    case machine
    /// Supervisor mode, with SBI served by the machine.
    case supervisor
  }

  /// What goes where in physical memory, with zeroes behind the bytes up to `size`.
  struct Piece {
    var pa: UInt64
    var bytes: ArraySlice<UInt8>
    var size: UInt64
  }

  let pieces: [Piece]
  /// The physical address of the first instruction.
  public let entry: UInt64
  /// How an image for x86-64 is started; `nil` of one for RISC-V.
  let boot: PCBoot?
  /// The board that it is for.
  public var architecture: ProgramArchitecture { boot == nil ? .riscv64 : .x86_64 }
  private let symbols: ELFSymbolTable?
  private let segments: [ELFSegment]

  /// Reads an ELF file of this machine's kind, or takes other bytes as they are at `loadAddress`.
  ///
  /// - Throws: one line that says what is wrong.
  public init(_ bytes: [UInt8], loadAddress: UInt64?) throws(ELFError) {
    if let loadAddress {
      pieces = [Piece(pa: loadAddress, bytes: bytes[...], size: UInt64(bytes.count))]
      entry = loadAddress
      boot = nil
      symbols = nil
      segments = []
      return
    }
    if PCImage.isOne(bytes) {
      let image = try PCImage(bytes)
      pieces = image.pieces
      entry = image.entry
      boot = image.boot
      let elf = try? ELFFile(
        bytes, requirements: ELFRequirements(addressLimit: .max, memoryLimit: 1 << 40))
      symbols = elf?.symbols
      segments = elf?.header.loadable ?? []
      return
    }
    boot = nil
    let elf = try ELFFile(
      bytes,
      requirements: ELFRequirements(
        machine: RISCVKernelISA().elfMachine, addressLimit: .max, memoryLimit: 1 << 40))
    segments = elf.header.loadable
    pieces = elf.header.loadable.map { segment in
      let start = Int(segment.offset)
      return Piece(
        pa: segment.physicalAddress, bytes: bytes[start..<(start + Int(segment.fileSize))],
        size: segment.memorySize)
    }
    symbols = elf.symbols
    entry = Self.physical(elf.entry, elf.header.loadable)
  }

  /// Where a linked address lies in memory: kernels are linked high and loaded low.
  private static func physical(_ va: UInt64, _ segments: [ELFSegment]) -> UInt64 {
    for segment in segments where va &- segment.address < segment.memorySize {
      return segment.physicalAddress &+ (va &- segment.address)
    }
    return va
  }

  /// The lowest physical address.
  public var base: UInt64 { pieces.filter { $0.size > 0 }.map(\.pa).min() ?? entry }

  /// Where a symbol lies in memory.
  public func physical(of symbol: String) -> UInt64? {
    symbols?.symbol(symbol).map { Self.physical($0.address, segments) }
  }

  /// The symbol at or before a linked address, as text: `name+0x10`.
  public func describe(_ va: UInt64) -> String? {
    symbols?.symbol(at: va).map {
      $0.offset == 0 ? $0.symbol.name : "\($0.symbol.name)+0x\(String($0.offset, radix: 16))"
    }
  }

  /// Copies the image into RAM.
  ///
  /// - Returns: a line that says which part does not fit, or `nil`.
  public func load(into ram: PhysicalMemory) -> String? {
    for piece in pieces where piece.size > 0 {
      guard ram.contains(piece.pa, piece.size), UInt64(piece.bytes.count) <= piece.size else {
        let end = piece.pa &+ piece.size
        return "0x\(String(piece.pa, radix: 16)) to 0x\(String(end, radix: 16)) is not in RAM, "
          + "which is 0x\(String(ram.base, radix: 16)) to 0x\(String(ram.base &+ ram.size, radix: 16))"
      }
      piece.bytes.withUnsafeBytes { _ = ram.write(piece.pa, $0) }
    }
    guard boot != nil || entry & 1 == 0 else {
      return "the entry 0x\(String(entry, radix: 16)) is odd"
    }
    guard ram.contains(entry, 2) else {
      return "the entry 0x\(String(entry, radix: 16)) is not in RAM"
    }
    return nil
  }
}
