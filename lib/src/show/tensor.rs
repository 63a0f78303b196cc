//! Tensors as PyTorch prints them.

use candle_core::{Tensor, Var};

use super::cut::cut;
use super::{Message, Show};

/// The numbers, of large tensors the first and last three of each dimension; then the shape and the type.
impl Show for Tensor {
    fn bundle(&self) -> Message {
        Message::text(cut(format_args!("{self}")))
    }
}

impl Show for Var {
    fn bundle(&self) -> Message {
        self.as_tensor().bundle()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn text(value: &dyn Show) -> String {
        value.bundle().data["text/plain"].as_str().unwrap().to_owned()
    }

    #[test]
    fn numbers_and_shape() {
        let tensor = Tensor::new(&[[1f32, 0.5], [0.25, -1.0]], &Device::Cpu).unwrap();
        let shown = "[[ 1.0000,  0.5000],\n [ 0.2500, -1.0000]]\nTensor[[2, 2], f32]";
        assert_eq!(text(&tensor), shown);
        assert_eq!(text(&Var::from_tensor(&tensor).unwrap()), shown);
    }

    #[test]
    fn large_ones_show_their_ends() {
        let shown = text(&Tensor::zeros((30_000, 384), DType::F32, &Device::Cpu).unwrap());
        assert_eq!(shown.matches("0.").count(), 6 * 6);
        assert!(shown.contains(", ..., ") && shown.ends_with("\nTensor[[30000, 384], f32]"), "{shown}");
        // Many short dimensions are not summarised.
        let deep = text(&Tensor::zeros(vec![5; 8], DType::F32, &Device::Cpu).unwrap());
        assert!(deep.len() < 70_000 && deep.contains("… cut at 64 KiB"));
    }
}
