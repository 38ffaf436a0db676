import GuestKernel
import Machine
import Probes

extension Rig {
  // MARK: Places

  /// The address of `SYMBOL`, `SYMBOL+N` or a number; the program's symbols come before the
  /// kernel's.
  public func address(of place: String) -> UInt64? {
    Quantity.address(of: place) { name in
      if !prepared.isPIE, let symbol = prepared.symbols.symbol(name) { return symbol.address }
      return linux?.kernel.symbol(name)
    }
  }

  /// An address with its symbol: `0x10008 (add+0x2)`.
  public func describe(_ address: UInt64) -> String {
    let hex = "0x\(String(address, radix: 16))"
    if let image = linux?.kernel.image, let found = image.symbol(at: address) {
      return "\(hex) (\(found.name)+0x\(String(found.offset, radix: 16)))"
    }
    return prepared.describe(address).map { "\(hex) (\($0))" } ?? hex
  }

  // MARK: State

  /// A register of a hart by its name; `pc` too.
  ///
  /// - Parameters:
  ///   - name: as the guest's manuals have it.
  ///   - hart: the hart's number.
  /// - Returns: its value; `nil` where there is no such register or hart.
  public func register(_ name: String, hart: Int = 0) -> UInt64? {
    guard harts.indices.contains(hart) else { return nil }
    return prepared.scenario.machine.guest.value(of: name, harts[hart])
  }

  /// Bytes at an address as the present address space has them; nothing is paged in.
  ///
  /// On a bare board the address is a physical one.
  public func memory(_ address: UInt64, _ count: Int) -> [UInt8]? {
    guard count >= 0, count <= 1 << 20, let ram else { return nil }
    guard let kernel = linux?.kernel else { return ram.bytes(address, count) }
    if address >= kernel.isa.userEnd { return kernel.readKernel(address, count) }
    guard let space = kernel.current?.space else { return nil }
    var bytes: [UInt8] = []
    for index in 0..<UInt64(count) {
      guard let pa = space.physical(address &+ index), let byte = ram.bytes(pa, 1)?.first else {
        return nil
      }
      bytes.append(byte)
    }
    return bytes
  }
}
